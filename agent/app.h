#pragma once

/* One app on this instance: reads its target from the depot, decides, has the engine deploy, and says how it stands. */

#include <jansson.h>

#include "agent/failure_upload.h"
#include "agent/identity.h"
#include "agent/launch_pace.h"
#include "agent/launch_state.h"
#include "agent/life_watch.h"
#include "agent/notify.h"
#include "agent/record.h"
#include "artifacts/depot.h"
#include "artifacts/trust_root.h"
#include "units/manager.h"

typedef struct App App;

typedef struct AppContext {
        sd_event *event;
        const Clock *clock;
        const Config *config;
        const Identity *identity;
        Depot *depot;              /* NULL: nothing but local deployments */
        const TrustRoot *root;     /* NULL: likewise */
        AwsContext *aws;           /* NULL: the depot is not on AWS */
        LifeWatch *life;           /* NULL: likewise */
        Notify *notify;            /* NULL: nobody is told of rollouts */
        const char **traffic_turn; /* of all apps together, see EngineTraffic */
        Manager *manager;
        const char *boot_id;
} AppContext;

/* Its state has changed, or a deployment made progress. */
typedef void (*AppChanged)(App *app, void *userdata);

/* From the event loop it then opens the app's folder and record, takes up a deployment that was interrupted, and begins to
 * look at the depot. A folder or record that cannot be read, or that a newer muster wrote, is tried again; the app's status
 * says so, and what it runs is left alone. What CONTEXT and CONFIG point to must stay. */
int app_new(const AppContext *context, const AppConfig *config, AppChanged changed, void *userdata, App **ret,
            Error *error);

/* What runs goes on by itself. Returns NULL. */
App *app_free(App *app);
DEFINE_CLEANUP(App *, app_free)

/* As target_watch_poll() and the functions after it; AppChanged follows every look. */
uint64_t app_poll(App *app);
bool app_has_looked(const App *app, uint64_t look);
int app_offer_target(App *app, const void *envelope, size_t size, Error *error);
void app_set_poll_interval(App *app, uint64_t interval);

/* What this instance is to its group, and so whether the app is to be brought up, held, prepared or stopped; until it has been
 * told, nothing is begun. A deployment that an instance which leaves has no use for any more is ended, unless it has begun to
 * switch. */
void app_set_life(App *app, const LifeView *view);

/* Nothing of the app runs any more, and nothing is begun: the instance may go. */
bool app_is_drained(const App *app);

/* It has a release that was good once, or is coming to one. */
bool app_has_served(const App *app);

/* There is little time left: a deployment that runs is ended as it is, and what it leaves is stopped; of a drain, what takes so
 * long is given up. */
void app_cut(App *app, const char *why);

/* Deploys a release that root hands over. -EBUSY while another deployment runs. */
int app_deploy_local(App *app, const char *release_json, int archive_fd, char **ret_id, Error *error);

/* What PATHS_FD lists is installed here, by another deployer, of this release: from now on it counts as muster's (adopt.h).
 * -EEXIST if the app has a release already. */
int app_adopt(App *app, const char *release_json, int archive_fd, int paths_fd, char **ret_id, Error *error);

/* `muster pin --local`: holds this instance at a release of its store, durably, until app_unpin(). A deployment that has
 * changed nothing yet is given up for it; another one comes to its end first. CHANGED is false where it serves already,
 * pinned for the same reason. ID is that of the deployment that goes there, NULL if none has begun. -EINVAL, -ENOENT. */
int app_pin(App *app, const char *version, const char *reason, bool *ret_changed, char **ret_id,
            Error *error);

/* Follows the group's target again. */
int app_unpin(App *app, bool *ret_changed, Error *error);

/* Compares what is installed with what was published, from the beginning; while a deployment runs, after it. */
void app_check_installed(App *app);

const char *app_name(const App *app);
const char *app_group(const App *app); /* the deployment group */
bool app_is_required(const App *app);
AppReadiness app_readiness(const App *app);
const Deployment *app_deployment(const App *app); /* the one that runs, or NULL */

/* One sentence: what it does or waits for, and why. */
const char *app_reason(const App *app);

int app_status(const App *app, json_t **ret);

/* How far the app's deployment has come; without a release where none runs. */
LaunchWork app_work(const App *app);

/* Why the app failed for good, for the depot. JOURNAL: musterd's, NULL: neither it nor what hooks printed is told.
 * SCALING_GROUP may be NULL. */
int app_failure(const App *app, const char *scaling_group, const char *journal, FailureNote *ret,
                Error *error);

/* Something that is the instance's and not the app's, which the report is to have under KEY. A new reference, which is
 * taken. */
void app_set_report_member(App *app, const char *key, json_t *value);

/* Why the depot does not have the app's latest report yet, or NULL, and since when; see report.h. */
const char *app_undelivered(const App *app, uint64_t *ret_since);

/* The newest LIMIT deployments, the running one included, newest first. */
int app_history(const App *app, size_t limit, json_t **ret, Error *error);

/* People are told that launches are held, for REASON. */
void app_notify_held(const App *app, const char *reason);
