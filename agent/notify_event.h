#pragma once

/* What people are told of a rollout, and how: one thing at a time that has become true of a register, as a text for a chat room
 * and as members for a program. Pure; the schema is in muster.conf(5).
 *
 * An event is known by its id: "api/prod/r-20261121-1/stage-2". It may be told more than once. */

#include "agent/register_view.h"

#define NOTIFY_SCHEMA 1
#define NOTIFY_NAME_MAX 32
#define NOTIFY_ID_MAX 256
#define NOTIFY_SUBJECT_MAX 101 /* 100 characters of ASCII and the zero byte: SNS */

typedef enum NotifyKind {
        NOTIFY_STARTED,
        NOTIFY_STAGE, /* one after the first was opened */
        NOTIFY_ABORTED,
        NOTIFY_COMPLETE,
        NOTIFY_HELD, /* new instances fail with the release one after the other; the next ones are held */
        NOTIFY_KINDS,
} NotifyKind;

typedef struct NotifyFacts {
        NotifyKind kind;
        const char *app, *group;
        const RolloutPlan *plan;
        const Register *reg;  /* HELD: may be NULL */
        const char *reason;   /* HELD: why; else NULL, the register has it */
        const char *reporter; /* the instance that tells it */
        uint64_t at;          /* when it became true, by the depot's clock */
} NotifyFacts;

/* What has become true of a register last, and when. */
NotifyKind notify_kind_of(const Register *reg, uint64_t *ret_at);

/* "started", "stage-2", "aborted", "complete", "held": within a rollout, what an event is known by. */
void notify_name(const NotifyFacts *facts, char ret[static NOTIFY_NAME_MAX]);
void notify_id(const NotifyFacts *facts, char ret[static NOTIFY_ID_MAX]);

/* One line for people, without markup. New memory. -ENOMEM. */
int notify_text(const NotifyFacts *facts, char **ret);

/* {"text": …, "muster": {…}}, new memory. In its text "&", "<" and ">" are written as Slack wants them, so that nobody can
 * mention a channel by a reason. -ENOMEM. */
int notify_payload(const NotifyFacts *facts, char **ret);

/* The beginning of a text as SNS takes it for a subject. */
void notify_subject(const char *text, char ret[static NOTIFY_SUBJECT_MAX]);

/* Whether an operator's command made the register what it is: then nobody has told it yet. */
bool notify_is_by_operator(const Register *reg);

/* How long an instance waits before it tells what it has only seen (the one whose write made it so does not wait): so
 * that the first can have told it. USEC_INFINITY: it leaves that to others. About NOTIFY_TELLERS of a fleet tell,
 * what an operator did one after the other, NOTIFY_TURN apart; CHANCE is uniform over 64 bits. */
#define NOTIFY_TELLERS 8U
#define NOTIFY_DELAY_MIN (UINT64_C(10) * 1000000)
#define NOTIFY_DELAY_MAX (UINT64_C(60) * 1000000)
#define NOTIFY_TURN (UINT64_C(2) * 1000000)
uint64_t notify_delay(const RolloutPlan *plan, const Register *reg, const char *reporter, uint64_t chance);
