#pragma once

/* Follows a deployment on this instance to its end, over the bus, through restarts of musterd: one line that changes on a
 * terminal, a line for each step elsewhere. */

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "agent/cli/cli.h"

#define DEPLOY_WATCH_TEXT_MAX 128U

typedef struct DeployWatch {
        const Cli *cli;
        sd_bus *bus;
        const char *app;
        const char *id; /* NULL until musterd has said it */
        bool stirred;   /* a signal came: the outcome may be known */
        bool is_drawn;
        char step[DEPLOY_WATCH_TEXT_MAX]; /* what was shown last */
} DeployWatch;

/* Before the deployment begins, so that nothing is missed. What is given must stay, WATCH where it is. */
int deploy_watch_open(DeployWatch *watch, const Cli *cli, sd_bus *bus, const char *app, Error *error);

/* Shows its steps until it has ended; RET is its entry in the history. ID must stay. */
int deploy_watch_follow(DeployWatch *watch, const char *id, json_t **ret, Error *error);

/* The outcome for a person: what a failure printed is shown at once. -EREMOTEIO for a failure. */
int deploy_watch_tell(const DeployWatch *watch, json_t *deployment, Error *error);
bool deploy_watch_is_good(const json_t *deployment);
