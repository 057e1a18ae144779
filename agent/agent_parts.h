#pragma once

/* Private to the agent: what it is made of, shared by agent.c, which builds it and keeps it alive, agent_launch.c, which
 * brings apps and launch together, agent_life.c, and agent_bus.c, which answers for it on the bus. */

#include "agent/agent.h"
#include "agent/app.h"
#include "agent/bus.h"
#include "agent/config_watch.h"
#include "agent/identity_check.h"
#include "agent/launch.h"
#include "agent/leave.h"
#include "agent/life_watch.h"
#include "agent/root_update.h"
#include "agent/wakeup.h"

/* What the agent is made of once it is configured; all of it is taken down and built again when the configuration
 * changes. */
typedef struct Setup {
        Config *config;
        TrustRoot *root;
        AwsContext *aws;
        Identify *identify;
        Identity identity;
        IdentityCheck *identity_check; /* while the identity is but a guess */
        Depot *depot;
        Notify *notify;         /* NULL: nobody is told of rollouts */
        AwsContext *notify_aws; /* for its topic, where the depot is not on AWS */
        RootUpdate *root_update;
        int state_fd;
        int lock_fd;
        Launch *launch;
        LifeWatch *life; /* NULL: not on AWS, so it is taken for an instance of no group */
        InstanceLife last_life;
        bool last_pending;
        bool leaves_queue;
        bool queue_left; /* its own queue, if it has one, is gone, or as good as that */
        Leave *leave;    /* likewise */
        App *apps[CONFIG_APPS_MAX];
        const char *traffic_turn; /* the app that may be out of the load balancer */
        size_t n_apps;
        Wakeup *wakeup;
} Setup;

struct Agent {
        sd_event *event;
        char *config_path;
        char boot_id[SD_ID128_STRING_MAX];
        Manager *manager;
        BusService *bus;
        ConfigWatch *config_watch;
        sd_event_source *timer; /* builds the setup */
        uint64_t retry_delay;
        sd_event_source *cut; /* when an instance that is taken away ends what it deploys; NULL: not on AWS */
        bool reload;          /* once no deployment runs */
        char waiting[ERROR_MESSAGE_MAX]; /* what it lacks, "" while it runs */
        Setup setup;
};

bool agent_is_deploying(const Agent *agent);

/* Adds an app that the configuration has. */
int agent_start_app(Agent *agent, const AppConfig *config, Error *error);

/* The launch of the instance (agent_launch.c). */
int agent_start_launch(Agent *agent, Error *error);
void agent_update_launch(Agent *agent);
json_t *agent_launch_status(const Setup *setup);

/* Who is told of rollouts. What is wrong with that goes to the journal, and hurts nobody. */
void agent_start_notify(Agent *agent);

/* Their userdata is the Agent. */
extern const BusHandlers agent_bus_handlers;
