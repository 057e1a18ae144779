#include "tests/unit/outcome.h"
#include "tests/unit/test.h"

void test_outcome_note(TestOutcome *outcome, int result, const Error *error) {
        assert_false(outcome->done);
        *outcome = (TestOutcome){ true, result, *error };
}
