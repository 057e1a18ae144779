#pragma once

/* The register of a rollout as the command line uses it: register_store.h, one thing at a time. */

#include "agent/cli/depot_access.h"
#include "agent/register_store.h"

/* Of an instance that says nothing else: three report intervals of muster.conf(5). */
#define REGISTER_ACCESS_SILENCE (3 * UINT64_C(300) * 1000000)

/* Somebody waits at the terminal: a depot that does not answer is told after so many tries. */
#define REGISTER_ACCESS_FAILURES_MAX 5U

/* What an operator is called: GIVEN, or where that is NULL what the variable says, or "ann@desk". -EDESTADDRREQ for what is
 * no name. */
#define OPERATOR_VARIABLE "MUSTER_OPERATOR"
int register_access_name(const char *given, char ret[static LAYOUT_INSTANCE_MAX + 1], Error *error);

/* Where the register of PLAN, whose target says which app and group, is. WRITER may be NULL for who only reads. */
RegisterSite register_access_site(const DepotAccess *access, const RolloutPlan *plan, const char *writer);

/* As the operations of register_store.h of these names. RET, which may be NULL, gets what register_op_register() and
 * its like are asked of. */
int register_access_read(const RegisterSite *site, RegisterOp **ret, Error *error);
int register_access_create(const RegisterSite *site, RegisterOp **ret, Error *error);
int register_access_change(const RegisterSite *site, const RegisterEvent *event, RegisterOp **ret,
                           Error *error);
