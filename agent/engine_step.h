#pragma once

/* What the engine's step functions share. Only engine.c and the step_*.c files include this. */

#include "agent/base/task.h"
#include "agent/engine.h"
#include "agent/files.h"
#include "agent/installed_check.h"
#include "agent/receive.h"
#include "agent/registration_find.h"
#include "agent/target_group.h"
#include "artifacts/release.h"
#include "artifacts/store_clean.h"
#include "hooks/health.h"
#include "hooks/hook_list.h"
#include "units/unit_enable.h"
#include "units/unit_job.h"
#include "units/unit_removal.h"

/* A step function returns STEP_STARTED and later calls engine_step_done(), or returns STEP_FINISHED, or fails. Its ERROR is
 * never NULL. */
#define STEP_STARTED 0
#define STEP_FINISHED 1

#define DRIFT_TEXT_MAX 400U

typedef int (*StepFunction)(Engine *engine, Error *error);

int step_verify(Engine *engine, Error *error);
int step_fetch(Engine *engine, Error *error);
int step_hooks(Engine *engine, Error *error);
int step_switch(Engine *engine, Error *error);
int step_units(Engine *engine, Error *error);
int step_health(Engine *engine, Error *error);
int step_block_traffic(Engine *engine, Error *error);
int step_allow_traffic(Engine *engine, Error *error);
int step_commit(Engine *engine, Error *error);
int step_stop_units(Engine *engine, Error *error);
int step_adopt(Engine *engine, Error *error);

/* VERIFY, first (step_restore.c): without the document of the release that serves there would be no way back; where
 * the store has lost it, it is got from the depot, and step_verify_to() goes on. False: there is nothing to wait for.
 * */
bool step_restore_document(Engine *engine);

/* VERIFY, the rest. As a step function. */
int step_verify_to(Engine *engine, Error *error);

/* VERIFY: room for the release, which others may have to make first (step_admit.c). As a step function. */
int step_admit(Engine *engine, Error *error);

/* VERIFY of a release that is in the store already (step_stored.c): whether it is still what was published. STEP_STARTED,
 * or a negative errno. */
int step_check_stored(Engine *engine, const char *name, Error *error);

/* FETCH could not bring a release anew that has drifted: whether the one in the store is used all the same. If not, *ERROR
 * says both. */
bool step_use_stored(Engine *engine, Error *error);

/* What the running step's release installs outside of its folder. */
FilesInstall step_files(const Engine *engine);

/* Tells the journal if the release that is gone back to has drifted. */
void step_warn_of_drift(const Engine *engine, const ReleaseRef *release);

/* What the running step holds; all of it is freed when the step ends. */
typedef struct StepWork {
        DepotOp *depot;
        InstalledCheck *check;
        StoreClean *clean;
        size_t releases; /* how many there were before it */
        Receive *receive;
        HookLeftovers *leftovers;
        HookList *hooks;
        int hooks_result; /* of ApplicationStop, kept while leftovers are ended */
        Error hooks_error;
        UnitRemoval *removal;
        ManagerCall *reload;
        UnitJob *job;
        size_t unit;      /* index of the unit whose job runs */
        bool env_differs; /* units are restarted, not reloaded, to see their environment */
        bool job_forced;  /* a rollback's reload failed, and the unit is restarted */
        Task *files;      /* in a process of its own: what the release installs */
        Health *health;
        UnitEnable *enable;
        RegistrationFind *find;
        TargetGroup *target_group;
        sd_event_source *turn; /* timer: waits for another app to be in again */
        char **names;
        HookScript *scripts;
        unsigned n_scripts;
        char **arguments;
        char **environment;
        int unit_dir_fd;
        bool reload_needed;
        int output_fd;
        int release_fd;
        Buffer tail;    /* of the hooks' output */
        uint64_t bytes; /* of the artifact, that FETCH has written */
        /* how long a part of the step may take by its own deadline, microseconds; 0: it has none */
        uint64_t allowance;
} StepWork;

struct Engine {
        EngineContext context;
        EngineDone done;
        EngineChanged changed;
        void *userdata;
        sd_event_source *next; /* runs the next step from the event loop */

        Release *to;       /* NULL until VERIFY */
        char *to_document; /* the release's envelope, or a local release's JSON */
        size_t to_document_size;
        Release *from; /* NULL: none, or its document is lost */
        uint64_t release_floor;
        char *release_json; /* local */
        int archive_fd;
        bool replace; /* the release in the store is not what was published, and is fetched anew; */
        bool usable;  /* but nothing of it is missing or changed, */
        char drift[DRIFT_TEXT_MAX]; /* only this */
        sd_event_source *timer;     /* ends a look, or has the record saved once more */
        bool saved;                 /* the record, as it is now */
        bool looking;
        bool looked; /* for the next step */
        uint64_t save_delay;
        char problem[ERROR_MESSAGE_MAX];
        int percent;
        StepWork work;
};

/* Ends the running step: RESULT 0 is success, anything else failure, with ERROR. */
void engine_step_done(Engine *engine, int result, const Error *error);

/* Records that one more of the running step's hooks has succeeded. */
int engine_hook_done(Engine *engine, Error *error);

static inline const Deployment *engine_deployment(const Engine *engine) {
        return &engine->context.record->deployment;
}

/* The group's environment values for the release that the running step is about. */
char *const *engine_subject_environment(const Engine *engine);

/* The release that the running step is about: the new one, or while going back the good one; NULL if there is none. */
const Release *engine_subject(const Engine *engine);
const ReleaseRef *engine_subject_ref(const Engine *engine);

/* Parses what the store keeps beside a release, signed or local, and checks that it is the one REF names. */
int engine_load_release(const ReleaseStore *store, const ReleaseRef *ref, Release **ret, Error *error);
