#pragma once

/* Releases in the store of a unit test, made from nothing but their version. */

#include "agent/deployment.h"
#include "artifacts/release.h"
#include "artifacts/store.h"

/* Puts a whole release into the store, with its document, unsigned, and one file of one byte ("file"), owned by
 * whoever runs the test, in a tree that nobody has looked at yet. MORE: further members of its document, each with
 * its comma ("" for none). The caller frees it; fails the test if it cannot be made. */
Release *test_store_release(const ReleaseStore *store, const char *version, const char *more);

/* The release's folder in the store, opened. */
int test_open_release(const ReleaseStore *store, const Release *release);

/* Borrows the release's texts. */
ReleaseRef test_release_ref(const Release *release);
