#include <string.h>

#include "agent/base/file.h"
#include "agent/cli/root_file.h"
#include "artifacts/layout.h"

#define ROOT_KEY_VARIABLE "MUSTER_ROOT_KEY"

void root_file_deinit(RootFile *file) {
        free(file->envelope);
}

int root_file_read(const char *path, RootFile *ret, Error *error) {
        _cleanup_buffer_ Buffer content = {};
        int r;

        r = file_read_at(AT_FDCWD, path, TRUST_ROOT_SIZE_MAX, &content);
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", path);
        return buffer_steal(&content, &ret->envelope, &ret->size) < 0 ? error_oom(error) : 0;
}

int root_file_load_signers(char *const *paths, KeyList *signers, Error *error) {
        int r;

        if (paths)
                return key_list_load(signers, paths, error);
        r = key_source_private(NULL, ROOT_KEY_VARIABLE, "root-key", &signers->keys[0], error);
        if (r >= 0)
                signers->n = 1;
        return r;
}

int root_file_check(const RootFile *file, const char *name, const TrustRoot *old, uint64_t now,
                    TrustRoot **ret, Error *error) {
        return old ? trust_root_load_successor(old, name, file->envelope, file->size, now, ret, error)
                   : trust_root_load(name, file->envelope, file->size, ret, error);
}

void root_file_say_incomplete(const Cli *cli, const char *path, const Error *missing) {
        cli_say(cli, "not valid yet: %s", missing->message);
        cli_say(cli, "have it signed with: muster root sign %s --root-key FILE", path);
}

static int load_predecessor(const DepotAccess *access, uint64_t version, TrustRoot **ret, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_root(version, key, error);
        if (r >= 0)
                r = depot_access_get(access, key, TRUST_ROOT_SIZE_MAX, &reply, error);
        if (r < 0)
                return r;
        if (reply.outcome == DEPOT_NOT_FOUND)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "publish its predecessor first: there is no %s/%s",
                                       depot_uri(access->depot), key);
        return trust_root_load(key, reply.body, reply.body_size, ret, error);
}

/* 1 if it was there already. */
static int put_root(const DepotAccess *access, const RootFile *file, uint64_t version, Error *error) {
        _cleanup_depot_reply_ DepotReply there = {};
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_root(version, key, error);
        if (r >= 0)
                r = depot_access_put(access, key, file->envelope, file->size, DEPOT_CREATE, NULL, error);
        if (r <= 0)
                return r;
        r = depot_access_get(access, key, TRUST_ROOT_SIZE_MAX, &there, error);
        if (r < 0)
                return r;
        if (there.body_size == file->size && memcmp(there.body, file->envelope, file->size) == 0)
                return 1;
        return error_set_fault(error, -EEXIST, FAULT_INPUT, "%s/%s exists already, with another content",
                               depot_uri(access->depot), key);
}

int root_file_publish(const Cli *cli, const char *path, const RootFile *file, const DepotValues *values,
                      Error *error) {
        _cleanup_depot_access_ DepotAccess access = {};
        _cleanup_trust_root_ TrustRoot *root = NULL, *old = NULL, *successor = NULL;
        uint64_t version;
        int r;

        r = trust_root_load(path, file->envelope, file->size, &root, error);
        if (r >= 0)
                r = depot_access_open(values, &access, error);
        if (r < 0)
                return r;
        version = trust_root_version(root);
        if (version > 1) {
                r = load_predecessor(&access, version - 1, &old, error);
                if (r >= 0)
                        r = root_file_check(file, path, old, clock_realtime(cli->clock), &successor, error);
                if (r < 0)
                        return r;
        }
        r = put_root(&access, file, version, error);
        if (r >= 0)
                cli_say(cli, "%s %s/root/%llu.json", r > 0 ? "already in the depot:" : "published as",
                        depot_uri(access.depot), (unsigned long long) version);
        return MIN(r, 0);
}
