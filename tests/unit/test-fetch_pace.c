#include <stdio.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "artifacts/fetch_pace.h"
#include "tests/unit/test.h"

/* A network that exists only here: connections of a limited rate each, behind a link that they share. It runs
 * in ticks of a millisecond and asks the pace what a fetch would. */

#define TICK USEC_PER_MSEC
#define CONNECTIONS 14U
#define MB UINT64_C(1000000)

typedef struct Network {
        uint64_t connection_rate; /* bytes a second, of each */
        uint64_t shared_rate;     /* of all together */
        uint64_t latency;         /* from a request to its first byte */
        bool busy;                /* it is the processor that limits */
        bool held_up;             /* it is the reader */
        unsigned receiving_max;   /* so many get bytes at the same time; 0: all */
} Network;

typedef struct Connection {
        uint64_t left; /* 0: idle */
        uint64_t asked;
        bool receiving;
} Connection;

typedef struct Run {
        FetchPace pace;
        Connection connections[CONNECTIONS];
        uint64_t wanted;
        uint64_t now;
        unsigned streams_max;
        unsigned requests;
} Run;

static unsigned count_receiving(const Run *run) {
        unsigned n = 0;

        for (size_t i = 0; i < CONNECTIONS; i++)
                n += run->connections[i].left > 0 && run->connections[i].receiving;
        return n;
}

static unsigned count_lasting(const Run *run) {
        unsigned n = 0;

        for (size_t i = 0; i < CONNECTIONS; i++) {
                const Connection *c = &run->connections[i];

                n += c->left > 0 && !(c->receiving && fetch_pace_is_ending(&run->pace, c->left));
        }
        return n;
}

static bool ask(Run *run) {
        for (size_t i = 0; i < CONNECTIONS; i++) {
                Connection *c = &run->connections[i];

                if (c->left > 0)
                        continue;
                *c = (Connection){ .left = MIN(run->wanted, fetch_pace_piece(&run->pace, run->wanted)),
                                   .asked = run->now };
                run->wanted -= c->left;
                run->requests++;
                return true;
        }
        return false;
}

/* What all connections bring within one tick. */
static uint64_t tick(Run *run, const Network *network) {
        uint64_t remaining = run->wanted;
        unsigned receiving = count_receiving(run),
                 receiving_max = network->receiving_max ? network->receiving_max : CONNECTIONS;

        for (size_t i = 0; i < CONNECTIONS; i++) {
                Connection *c = &run->connections[i];

                if (c->left > 0 && !c->receiving && run->now - c->asked >= network->latency &&
                    receiving < receiving_max) {
                        c->receiving = true;
                        receiving++;
                        fetch_pace_first_byte(&run->pace, run->now - c->asked);
                }
        }
        receiving = count_receiving(run);
        run->streams_max = MAX(run->streams_max, receiving);
        for (size_t i = 0; i < CONNECTIONS; i++) {
                Connection *c = &run->connections[i];
                uint64_t bytes;

                if (c->left > 0 && c->receiving) {
                        bytes = MIN(network->connection_rate, network->shared_rate / receiving) * TICK /
                                USEC_PER_SEC;
                        bytes = MIN(bytes, c->left);
                        c->left -= bytes;
                        fetch_pace_received(&run->pace, bytes);
                }
                remaining += c->left;
        }
        if (network->held_up)
                fetch_pace_held_up(&run->pace);
        fetch_pace_update(&run->pace, run->now, network->busy ? run->now : 0, count_receiving(run),
                          remaining);
        return remaining;
}

/* Milliseconds that it takes. */
static unsigned run_network(const Network *network, uint64_t size, Run *run) {
        *run = (Run){ .wanted = size };
        fetch_pace_init(&run->pace);
        do {
                while (run->wanted > 0 && count_lasting(run) < run->pace.streams && ask(run))
                        ;
                run->now += TICK;
        } while (tick(run, network) > 0);
        return (unsigned) (run->now / USEC_PER_MSEC);
}

/* 90 MB/s for each connection, 30 ms to the first byte: the whole in a third of what one connection takes. */
static void test_limited(_unused_ void **state) {
        const Network network = { .connection_rate = 90 * MB,
                                  .shared_rate = 10000 * MB,
                                  .latency = 30 * USEC_PER_MSEC };
        unsigned single = 30 + 60 * 1000 / 90, took;
        Run run;

        took = run_network(&network, 60 * MB, &run);
        printf("60 MB: %u ms, a single one %u ms, %u requests\n", took, single, run.requests);
        assert_true(took * 100 < single * 30);
        assert_true(run.streams_max >= FETCH_PACE_STREAMS_MAX);
}

/* Not limited, and soon there: nothing is tried. */
static void test_unlimited(_unused_ void **state) {
        const Network network = { .connection_rate = 10000 * MB, .shared_rate = 1000 * MB, .latency = 1000 };
        Run run;

        assert_true(run_network(&network, 50 * MB, &run) < 70);
        assert_int_equal(run.pace.streams, 1);
        assert_in_range(run.streams_max, 1, 2);
}

/* Nor while the processor is what limits, however long it takes. */
static void test_busy(_unused_ void **state) {
        const Network network = {
                .connection_rate = 10000 * MB, .shared_rate = 300 * MB, .latency = 1000, .busy = true
        };
        Run run;

        (void) run_network(&network, 1000 * MB, &run);
        assert_in_range(run.streams_max, 1, 2);
}

/* Nor while what has come waits for its reader. */
static void test_held_up(_unused_ void **state) {
        const Network network = {
                .connection_rate = 200 * MB, .shared_rate = 10000 * MB, .latency = 1000, .held_up = true
        };
        Run run;

        (void) run_network(&network, 1000 * MB, &run);
        assert_in_range(run.streams_max, 1, 2);
}

/* It was slow for a moment, as an unpacker is that has just been started: more are tried as soon as it is not. */
static void test_held_up_once(_unused_ void **state) {
        FetchPace pace;

        fetch_pace_init(&pace);
        fetch_pace_first_byte(&pace, USEC_PER_MSEC);
        fetch_pace_held_up(&pace);
        for (uint64_t now = 0; now <= 15; now++) {
                fetch_pace_update(&pace, now * USEC_PER_MSEC, 0, 1, 1000 * MB);
                fetch_pace_received(&pace, MB / 10);
        }
        assert_int_equal(pace.streams, 1);
        for (uint64_t now = 16; now <= 40; now++) {
                fetch_pace_update(&pace, now * USEC_PER_MSEC, 0, 1, 1000 * MB);
                fetch_pace_received(&pace, MB / 10);
        }
        assert_int_equal(pace.streams, FETCH_PACE_STREAMS_MAX);
}

/* Even 16 MB are worth it where the connections are slow. */
static void test_limited_little(_unused_ void **state) {
        const Network network = { .connection_rate = 90 * MB,
                                  .shared_rate = 10000 * MB,
                                  .latency = 30 * USEC_PER_MSEC };
        unsigned took, single = 30 + 16 * 1000 / 90;
        Run run;

        took = run_network(&network, 16 * MB, &run);
        printf("16 MB: %u ms, a single one %u ms, %u requests\n", took, single, run.requests);
        assert_true(took * 100 < single * 65);
}

/* A link that one connection fills: more are tried once, and then every other second. */
static void test_shared_link(_unused_ void **state) {
        const Network network = { .connection_rate = 10000 * MB,
                                  .shared_rate = 50 * MB,
                                  .latency = 20 * USEC_PER_MSEC };
        unsigned took;
        Run run;

        took = run_network(&network, 1000 * MB, &run);
        printf("1 GB at 50 MB/s: %u ms, %u requests, %u streams\n", took, run.requests, run.streams_max);
        assert_true(took < 20000 * 102 / 100);
        assert_true(run.pace.streams <= 4);
}

/* Three connections fill the link: it ends up with about so many. */
static void test_three_are_enough(_unused_ void **state) {
        const Network network = { .connection_rate = 90 * MB,
                                  .shared_rate = 270 * MB,
                                  .latency = 20 * USEC_PER_MSEC };
        unsigned took;
        Run run;

        took = run_network(&network, 400 * MB, &run);
        printf("400 MB at 270 MB/s: %u ms, %u streams at the end\n", took, run.pace.streams);
        assert_true(took < 1482 * 115 / 100);
        assert_in_range(run.pace.streams, 3, 4);
}

/* Connections wait for each other: the try ends all the same. */
static void test_served_in_turn(_unused_ void **state) {
        const Network network = { .connection_rate = 200 * MB,
                                  .shared_rate = 200 * MB,
                                  .latency = 5 * USEC_PER_MSEC,
                                  .receiving_max = 2 };
        Run run;

        assert_true(run_network(&network, 200 * MB, &run) < 1100);
        assert_false(run.pace.is_trying);
        assert_in_range(run.pace.streams, 1, 2);
}

/* A small artifact is not worth a second connection. */
static void test_small(_unused_ void **state) {
        const Network network = { .connection_rate = 90 * MB,
                                  .shared_rate = 10000 * MB,
                                  .latency = 30 * USEC_PER_MSEC };
        Run run;

        (void) run_network(&network, 8 * MB, &run);
        assert_in_range(run.streams_max, 1, 2); /* the successor overlaps with the end of the first */
}

/* Small pieces far away: the next one is asked for before the last one ends, so the latency is paid once. */
static void test_latency_is_hidden(_unused_ void **state) {
        const Network network = { .connection_rate = 20 * MB,
                                  .shared_rate = 20 * MB,
                                  .latency = 150 * USEC_PER_MSEC };
        unsigned took;
        Run run;

        took = run_network(&network, 200 * MB, &run);
        printf("200 MB at 20 MB/s, 150 ms away: %u ms, %u requests\n", took, run.requests);
        assert_true(took < (10000 + 150) * 105 / 100);
}

static void test_pieces(_unused_ void **state) {
        FetchPace pace;

        fetch_pace_init(&pace);
        assert_int_equal(fetch_pace_piece(&pace, UINT64_MAX), FETCH_PACE_PIECE_MAX);
        assert_int_equal(fetch_pace_piece(&pace, 1), FETCH_PACE_PIECE_MIN);
        pace.streams = 8;
        assert_int_equal(fetch_pace_piece(&pace, 16 << 20), 2 << 20); /* all end at the same time */
        assert_false(fetch_pace_is_ending(&pace, 1));
        pace.latency = 30 * USEC_PER_MSEC;
        pace.stream_rate = 90 * MB;
        assert_in_range(fetch_pace_piece(&pace, 8 << 20), 2000000,
                        2100000); /* and no request that is all latency */
        assert_true(fetch_pace_is_ending(&pace, 2700000));
        assert_false(fetch_pace_is_ending(&pace, 2700001));
        pace.stream_rate = 1 * MB;
        assert_int_equal(fetch_pace_piece(&pace, UINT64_MAX), FETCH_PACE_PIECE_MIN);
        pace.stream_rate = 1000 * MB;
        pace.streams = 1;
        assert_int_equal(fetch_pace_piece(&pace, UINT64_MAX), FETCH_PACE_PIECE_SINGLE);
}

/* No bytes, no time, no divisions by zero. */
static void test_standstill(_unused_ void **state) {
        FetchPace pace;

        fetch_pace_init(&pace);
        for (uint64_t now = 0; now < 10 * USEC_PER_SEC; now += USEC_PER_MSEC)
                fetch_pace_update(&pace, now, 0, 1, MB);
        assert_int_equal(pace.streams, 1);
        fetch_pace_update(&pace, 11 * USEC_PER_SEC, 0, 0, 0);
        assert_int_equal(pace.streams, 1);
}

/* One connection of eight is stuck at a crawl. */
static void test_straggler(_unused_ void **state) {
        const uint64_t second = USEC_PER_SEC;
        FetchPace pace;

        fetch_pace_init(&pace);
        assert_false(fetch_pace_is_straggling(&pace, 100 * second, 1, MB, 0)); /* nothing to compare with */
        pace.latency = 30 * USEC_PER_MSEC;
        pace.stream_rate = 10 * MB;
        assert_false(fetch_pace_is_straggling(&pace, second, 1000, 3 * MB, 0)); /* too early to say */
        assert_true(fetch_pace_is_straggling(&pace, 2 * second, 10000, 3 * MB, 0));
        assert_true(fetch_pace_is_straggling(&pace, 2 * second, 0, 3 * MB, 0));
        assert_false(fetch_pace_is_straggling(&pace, 2 * second, 10 * MB, 3 * MB, 0));
        assert_false(fetch_pace_is_straggling(&pace, 2 * second, 2 * MB, 3 * MB,
                                              0)); /* slower, but nearly there */
        assert_false(fetch_pace_is_straggling(&pace, 2 * second, 10000, 3 * MB, 1));
        assert_true(fetch_pace_is_straggling(&pace, 4 * second, 20000, 3 * MB, 1));
        assert_false(fetch_pace_is_straggling(&pace, 1000 * second, 1, 3 * MB, 99));

        pace.stream_rate = MB / 100; /* everything is slow */
        assert_false(fetch_pace_is_straggling(&pace, 60 * second, 60 * MB / 100, 3 * MB, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_limited),
                cmocka_unit_test(test_unlimited),
                cmocka_unit_test(test_busy),
                cmocka_unit_test(test_held_up),
                cmocka_unit_test(test_held_up_once),
                cmocka_unit_test(test_limited_little),
                cmocka_unit_test(test_shared_link),
                cmocka_unit_test(test_three_are_enough),
                cmocka_unit_test(test_served_in_turn),
                cmocka_unit_test(test_small),
                cmocka_unit_test(test_latency_is_hidden),
                cmocka_unit_test(test_pieces),
                cmocka_unit_test(test_standstill),
                cmocka_unit_test(test_straggler),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
