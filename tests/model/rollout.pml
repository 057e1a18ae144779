/* The rollout register, its marks and the agents that share them, as ARCHITECTURE.md ("Rollouts") specifies them.
 *
 * INSTANCES agents move from the stable release to the candidate in STAGES stages; COMBINERS of them at a time read the
 * register, list the marks and write it back by compare-and-swap; an operator aborts, pauses or promotes; agents die, freeze and
 * wake up, deployments fail, by the release's fault or the host's. What is checked:
 *
 *   - no more instances run the candidate than the stage allows, no more change at once than max_parallel, but for those
 *     whose deadline and margin have passed;
 *   - no write takes the place of one that its writer had not read (lost update), also where the content came back (ABA);
 *   - nobody commits on a place that it has lost;
 *   - no stage opens before the ones before it are healthy, and none by a promotion that was meant for another;
 *   - while an alarm rings nobody is let in, and no stage ends that nobody knows an alarm of, unless it was promoted by hand;
 *   - when nothing can happen any more, all is well: complete with all who can on the candidate, or aborted with all on stable,
 *     or held by an alarm that nobody knows, until an operator promotes.
 *
 * Time is what may pass: a deadline, the margin after it, three report intervals. -DBREAK=<RULE> takes one rule away; each
 * must then be missed (tests/model/run). */

#ifndef INSTANCES
#define INSTANCES 3
#endif
#ifndef STAGES
#define STAGES 2
#endif
#ifndef PARALLEL
#define PARALLEL 2
#endif
#ifndef COMBINERS
#define COMBINERS 2
#endif
#ifndef FAILURES /* deployments and bakes that fail by the release's fault; max_failures is 0 */
#define FAILURES 1
#endif
#ifndef MAX_FAILURES
#define MAX_FAILURES 0
#endif
#ifndef HOST_FAULTS
#define HOST_FAULTS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef FREEZES
#define FREEZES 0
#endif
#ifndef DELAYS /* deadlines that pass although the agent lives */
#define DELAYS 0
#endif
#ifndef ALARMS /* how often what is known of the alarm changes */
#define ALARMS 0
#endif
#ifndef OPERATOR
#define OPERATOR NOBODY
#endif
#ifndef BREAK
#define BREAK NOTHING
#endif

#define NOBODY 0
#define ABORTS 1
#define PAUSES 2
#define PROMOTES 3
#define FORGES 4
#define HELPS 5 /* promotes what an alarm holds */

#define NOTHING 0
#define IF_MATCH 1         /* a write names the ETag that was read */
#define REV 2              /* every write is unlike all before it, by rev and nonce */
#define READ_THEN_LIST 3   /* the register is read before the marks are listed */
#define ALLOWED_LIMIT 4    /* places are given up to the stage's number ... */
#define PARALLEL_LIMIT 5   /* ... and up to max_parallel */
#define LATE_COUNTS 6      /* a place past its deadline counts for the stage while its instance lives */
#define MARGIN 7           /* a place is given up only a margin after its deadline */
#define DEADLINE 8         /* a place has a deadline */
#define GONE 9             /* what an instance that is gone held is free */
#define SWITCH_READ 10     /* the register is read again before SWITCH ... */
#define COMMIT_READ 11     /* ... and before COMMIT */
#define ABORT_WATCH 12     /* who runs the candidate looks for an abort */
#define MARK_LAST 13       /* the mark of the end follows the end */
#define ATTEMPT 14         /* marks and places name the attempt */
#define STAGE_HEALTHY 15   /* a stage ends when its instances are healthy */
#define FAILURES_LIMIT 16  /* more failures than max_failures abort */
#define PROMOTE_STAGE 17   /* a promotion names the stage that it promotes */
#define UNCLEAR 18         /* after an unclear answer the register is read again */
#define SIGNED_TIME 19     /* agents check for themselves what was signed: not_before and the bakes */
#define PLACE_BACK 20      /* who has committed asks for a place for the way back, too */
#define PAUSE_HOLDS 21     /* no place for the way up is given while paused */
#define MARK_DONE 22       /* a place ends when its instance says so */
#define LATE_SEEN 23       /* who finds that its place came and went while it slept gives it back */
#define GOOD_READ 24       /* who finds its place lost after COMMIT does not call itself good, and goes back */
#define ALARM_ABORTS 25    /* an alarm that rings while somebody runs the candidate aborts */
#define ALARM_FIRST 26     /* nobody is let in while it rings */
#define ALARM_HOLDS 27     /* no stage ends while nobody knows it ... */
#define ALARM_HELPED 28    /* ... unless it was promoted */

#define kept(rule) (BREAK != rule)

/* The register's state */
#define ACTIVE 0
#define PAUSED 1
#define ABORTED 2
#define COMPLETE 3

/* What an instance's marks say; an attempt that ended without a verdict may be followed by one more */
#define M_NONE 0
#define M_UP 1
#define M_VOID 2
#define M_UP_AGAIN 3
#define M_OUT 4 /* the last attempt ended without a verdict */
#define M_FAILED 5
#define M_GOOD 6
#define M_DOWN 7
#define M_BACK 8

/* What CloudWatch says of the alarm */
#define QUIET 0
#define RINGS 1
#define UNKNOWN 2

/* Where an agent is */
#define IDLE 0
#define ASKED 1
#define HOLDS 2
#define CHECKED 3  /* has read the register before SWITCH */
#define SWITCHED 4 /* the candidate runs, uncommitted */
#define SURE 5     /* has read it before COMMIT */
#define COMMITTED 6
#define MEMBER 7 /* and has said so */
#define BACKING 8
#define ASKED_DOWN 9
#define DOWNING 10
#define ENDED 11

/* Of a place */
#define FRESH 0
#define DUE 1  /* its deadline has passed */
#define PAST 2 /* and the margin */

byte state = ACTIVE;
byte stage;
bool promoted;
bool place[INSTANCES], down[INSTANCES], again[INSTANCES], late[INSTANCES];

byte marks[INSTANCES];
bool failed[INSTANCES];
byte at[INSTANCES];
byte age[INSTANCES];
bool live[INSTANCES] = true; /* its report is young enough */
bool dead[INSTANCES], frozen[INSTANCES];
bool released[INSTANCES]; /* why it goes back: the release's fault */

/* A writer's copy of the register is the current one: its ETag is. The last writer is the operator. */
#define WRITERS (COMBINERS + 1)
bool current[WRITERS];
bool stale[COMBINERS]; /* something has happened since it read */

byte failures_left = FAILURES, host_faults_left = HOST_FAULTS, deaths_left = DEATHS, freezes_left = FREEZES;
byte delays_left = DELAYS, alarms_left = ALARMS;
byte alarm = QUIET;
byte legal; /* the stage that may be entered by what was signed and S3's Date */

/* For the checks alone */
bool excused[INSTANCES]; /* it was given up for gone, and came back */
bool slept[INSTANCES];   /* it was frozen between what it read and what it did for that */
bool asked_abort, done_abort;
byte meant; /* the stage that the operator has promoted to */
bool tampered;

#define allowed(s) ((s) == STAGES - 1 -> INSTANCES : (s) + 1)
#define awake(i) (!dead[i] && !frozen[i])
#define runs(i) (at[i] >= SWITCHED && at[i] <= DOWNING)
#define changes(i) ((at[i] >= SWITCHED && at[i] <= COMMITTED) || at[i] == BACKING || at[i] == DOWNING)
#define this_attempt(i) (again[i] == (marks[i] == M_UP_AGAIN) || !kept(ATTEMPT))
#define holds_up(i) (place[i] && !down[i] && !late[i] && age[i] == FRESH && this_attempt(i))

inline happened() {
        for (k : 0 .. COMBINERS - 1) {
                stale[k] = true
        }
}

inline written() {
        for (k : 0 .. WRITERS - 1) {
                current[k] = false
        }
        happened()
}

inline mark(i, m) {
        marks[i] = m;
        happened()
}

/* After every step that can make it worse. */
inline check() {
        n_run = 0;
        n_change = 0;
        for (k : 0 .. INSTANCES - 1) {
                n_run = n_run + (runs(k) && live[k] && !excused[k]);
                n_change = n_change + (changes(k) && live[k] && age[k] != PAST && !excused[k])
        }
        assert(n_run <= allowed(stage) || tampered);
        assert(n_change <= PARALLEL || tampered);
        n_run = 0;
        n_change = 0;
        k = 0
}

inline end_attempt(i) {
        if
        :: released[i] ->
                failed[i] = true;
                mark(i, M_FAILED)
        :: else ->
                mark(i, (marks[i] == M_UP -> M_VOID : M_OUT))
        fi;
        excused[i] = false
}

#define may_switch(i) (holds_up(i) && state != ABORTED && (stage <= legal || !kept(SIGNED_TIME)))
#define may_commit(i) (holds_up(i) && state != ABORTED)
#define has_ended(i) (marks[i] == M_VOID || marks[i] == M_OUT || marks[i] == M_FAILED || marks[i] == M_BACK)

proctype Agent(byte i) {
        byte k, n_run, n_change;

end:    do
        :: atomic { awake(i) && at[i] == IDLE && (state == ACTIVE || state == COMPLETE) ->
                mark(i, (marks[i] == M_NONE -> M_UP : M_UP_AGAIN));
                at[i] = ASKED;
                k = 0 }
        :: atomic { awake(i) && at[i] == ASKED && holds_up(i) -> at[i] = HOLDS }
        :: atomic { awake(i) && at[i] == ASKED && place[i] && !holds_up(i) && this_attempt(i) && kept(LATE_SEEN) ->
                end_attempt(i);
                at[i] = (marks[i] == M_VOID -> IDLE : ENDED);
                k = 0 }
        /* Before SWITCH. */
        :: atomic { awake(i) && at[i] == HOLDS && (may_switch(i) || !kept(SWITCH_READ)) ->
                assert(stage <= legal);
                assert(kept(SWITCH_READ) || (place[i] && !late[i]));
                at[i] = (kept(SWITCH_READ) -> CHECKED : SWITCHED);
                check() }
        :: atomic { awake(i) && at[i] == HOLDS && !may_switch(i) && kept(SWITCH_READ) ->
                end_attempt(i);
                at[i] = (marks[i] == M_VOID -> IDLE : ENDED);
                k = 0 }
        :: atomic { awake(i) && at[i] == CHECKED ->
                assert((place[i] && !late[i]) || slept[i]);
                at[i] = SWITCHED;
                check() }
        /* The deployment ends. */
        :: atomic { awake(i) && at[i] == SWITCHED && (may_commit(i) || !kept(COMMIT_READ)) ->
                slept[i] = false;
                at[i] = SURE }
        :: atomic { awake(i) && at[i] == SWITCHED && !may_commit(i) && kept(COMMIT_READ) ->
                slept[i] = false;
                at[i] = BACKING }
        :: atomic { awake(i) && at[i] == SWITCHED && failures_left > 0 ->
                failures_left--;
                released[i] = true;
                at[i] = BACKING }
        :: atomic { awake(i) && at[i] == SWITCHED && host_faults_left > 0 ->
                host_faults_left--;
                at[i] = BACKING }
        :: atomic { awake(i) && at[i] == BACKING && !kept(MARK_LAST) && !has_ended(i) ->
                end_attempt(i);
                check() }
        :: atomic { awake(i) && at[i] == BACKING && (kept(MARK_LAST) || has_ended(i)) ->
                if
                :: !has_ended(i) -> end_attempt(i)
                :: else
                fi;
                at[i] = (marks[i] == M_VOID -> IDLE : ENDED);
                check() }
        :: atomic { awake(i) && at[i] == SURE ->
                assert((place[i] && !late[i]) || slept[i]);
                at[i] = COMMITTED;
                check() }
        :: atomic { awake(i) && at[i] == COMMITTED ->
                if
                :: (place[i] && !late[i]) || !kept(GOOD_READ) ->
                        assert(place[i] && !late[i]);
                        mark(i, M_GOOD);
                        at[i] = MEMBER
                :: else ->
                        mark(i, M_DOWN);
                        at[i] = ASKED_DOWN
                fi;
                slept[i] = false;
                k = 0 }
        /* Back, after an abort or because it turned sick. */
        :: atomic { awake(i) && at[i] == MEMBER && state == ABORTED && kept(ABORT_WATCH) ->
                mark(i, M_DOWN);
                at[i] = (kept(PLACE_BACK) -> ASKED_DOWN : DOWNING);
                check() }
        :: atomic { awake(i) && at[i] == MEMBER && failures_left > 0 ->
                failures_left--;
                failed[i] = true;
                mark(i, M_DOWN);
                at[i] = ASKED_DOWN;
                k = 0 }
        :: atomic { awake(i) && at[i] == ASKED_DOWN && place[i] && down[i] ->
                at[i] = DOWNING;
                check() }
        :: atomic { awake(i) && at[i] == DOWNING ->
                mark(i, M_BACK);
                at[i] = ENDED;
                excused[i] = false;
                check() }
        od
}

/* Deaths, freezes, and time. */
proctype World(byte i) {
        byte k;

end:    do
        :: atomic { deaths_left > 0 && !dead[i] ->
                deaths_left--;
                dead[i] = true }
        :: atomic { freezes_left > 0 && awake(i) ->
                freezes_left--;
                slept[i] = (at[i] == CHECKED || at[i] == SURE || at[i] == COMMITTED);
                frozen[i] = true }
        :: atomic { frozen[i] && !dead[i] ->
                frozen[i] = false;
                excused[i] = excused[i] || (!live[i] && (runs(i) || at[i] == CHECKED));
                live[i] = true;
                happened();
                k = 0 }
        :: atomic { live[i] && !awake(i) ->
                live[i] = false;
                happened();
                k = 0 }
        :: atomic { place[i] && age[i] == FRESH && kept(DEADLINE) && (!awake(i) || delays_left > 0) ->
                delays_left = delays_left - (awake(i) -> 1 : 0);
                age[i] = (kept(MARGIN) -> DUE : PAST);
                happened();
                k = 0 }
        /* An agent that is awake acts within the margin on what it has just read. */
        :: atomic { age[i] == DUE && !(awake(i) && (at[i] == CHECKED || at[i] == SURE)) ->
                age[i] = PAST;
                happened();
                k = 0 }
        od
}

/* Who writes looks at it, and somebody writes every minute. */
proctype Alarm() {
        byte k;

end:    do
        :: atomic { alarms_left > 0 ->
                alarms_left--;
                if
                :: alarm = QUIET
                :: alarm = RINGS
                :: alarm = UNKNOWN
                fi;
                happened();
                k = 0 }
        od
}

/* The signed times of the stages come. */
proctype Signed() {
        byte k;

end:    do
        :: atomic { legal < STAGES - 1 ->
                legal++;
                happened();
                k = 0 }
        od
}

#define s_over(i) \
        (s_marks[i] == M_FAILED || s_marks[i] == M_OUT || s_marks[i] == M_GOOD || s_marks[i] == M_BACK || \
         s_marks[i] == M_VOID || (s_marks[i] == M_UP_AGAIN && (kept(ATTEMPT) -> !again[i] : true)))
#define s_ended(i) (kept(MARK_DONE) && (down[i] -> s_marks[i] == M_BACK : s_over(i) || s_marks[i] == M_DOWN))

/* What the marks say of the places. */
inline settle() {
        for (i : 0 .. INSTANCES - 1) {
                if
                :: place[i] && (s_ended(i) || (s_past[i] && !s_live[i] && kept(GONE))) ->
                        place[i] = false;
                        down[i] = false;
                        again[i] = false;
                        late[i] = false;
                        age[i] = FRESH;
                        changed = true
                :: place[i] && !s_ended(i) && s_past[i] && !late[i] && !(!s_live[i] && kept(GONE)) ->
                        late[i] = true;
                        changed = true
                :: else
                fi
        }
}

inline count() {
        n_run = 0;
        n_held = 0;
        n_good = 0;
        n_failed = 0;
        need = 0;
        for (i : 0 .. INSTANCES - 1) {
                n_failed = n_failed + (s_failed[i] || (late[i] && !down[i]));
                n_held = n_held + (place[i] && !late[i]);
                n_run = n_run + (place[i] && !down[i] && (!late[i] || kept(LATE_COUNTS)));
                n_run = n_run + (s_live[i] && (s_marks[i] == M_GOOD || s_marks[i] == M_DOWN));
                n_good = n_good + (s_live[i] && s_marks[i] == M_GOOD);
                need = need + (s_live[i] && s_marks[i] != M_FAILED && s_marks[i] != M_BACK)
        }
        if
        :: need > allowed(stage) -> need = allowed(stage)
        :: else
        fi
}

inline judge() {
        if
        :: (n_failed > MAX_FAILURES || (need == 0 && n_failed > 0)) && (state == ACTIVE || state == PAUSED) && kept(FAILURES_LIMIT) ->
                state = ABORTED;
                changed = true
        :: else
        fi;
        if
        :: s_alarm == RINGS && n_run > 0 && (state == ACTIVE || state == PAUSED) && kept(ALARM_ABORTS) ->
                state = ABORTED;
                changed = true
        :: else
        fi;
        if
        :: state == ACTIVE && (s_alarm == QUIET || (s_alarm == UNKNOWN && promoted && kept(ALARM_HELPED)) || !kept(ALARM_HOLDS)) && need > 0 && (n_good >= need || !kept(STAGE_HEALTHY)) && n_failed <= MAX_FAILURES ->
                if
                :: stage < STAGES - 1 && legal > stage && (OPERATOR != PROMOTES || promoted) ->
                        assert(n_good >= need);
                        assert(s_alarm == QUIET || (s_alarm == UNKNOWN && promoted));
                        stage++;
                        assert(OPERATOR != PROMOTES || stage <= meant);
                        promoted = false;
                        changed = true
                :: stage == STAGES - 1 ->
                        assert(n_good >= need);
                        assert(s_alarm == QUIET || (s_alarm == UNKNOWN && promoted));
                        state = COMPLETE;
                        changed = true
                :: else
                fi
        :: else
        fi
}

#define room (n_held < PARALLEL || !kept(PARALLEL_LIMIT))

inline give(i, is_down) {
        place[i] = true;
        down[i] = is_down;
        again[i] = (s_marks[i] == M_UP_AGAIN);
        age[i] = FRESH;
        n_held++;
        changed = true
}

inline grant() {
        for (i : 0 .. INSTANCES - 1) {
                if
                :: !place[i] && s_live[i] && s_marks[i] == M_DOWN && room -> give(i, true)
                :: else
                fi
        }
        for (i : 0 .. INSTANCES - 1) {
                if
                :: !place[i] && s_live[i] && (s_marks[i] == M_UP || s_marks[i] == M_UP_AGAIN) && room &&
                   (n_run < allowed(stage) || !kept(ALLOWED_LIMIT)) &&
                   (state == COMPLETE || s_alarm != RINGS || !kept(ALARM_FIRST)) &&
                   (state == ACTIVE || state == COMPLETE || (state == PAUSED && !kept(PAUSE_HOLDS))) ->
                        assert(state != PAUSED);
                        assert(state == COMPLETE || s_alarm != RINGS);
                        give(i, false);
                        n_run++
                :: else
                fi
        }
}

inline list_marks() {
        for (i : 0 .. INSTANCES - 1) {
                s_marks[i] = marks[i];
                s_failed[i] = failed[i];
                s_live[i] = live[i];
                s_past[i] = (age[i] == PAST)
        }
        s_alarm = alarm;
        i = 0
}

inline forget() {
        for (i : 0 .. INSTANCES - 1) {
                s_marks[i] = 0;
                s_failed[i] = false;
                s_live[i] = false;
                s_past[i] = false
        }
        s_alarm = QUIET;
        i = 0;
        k = 0;
        n_run = 0;
        n_held = 0;
        n_good = 0;
        n_failed = 0;
        need = 0;
        changed = false;
        s_content = 0
}

/* Equal content has the same ETag, unless something in it never comes again. */
inline content(to) {
        to = state + 4 * stage + 16 * promoted;
        for (i : 0 .. INSTANCES - 1) {
                to = to * 16 + place[i] + 2 * down[i] + 4 * again[i] + 8 * late[i]
        }
        i = 0
}

/* Any agent that takes in what there is. What has been read comes as a copy; if the write succeeds, it was current. */
proctype Combiner(byte me) {
        byte s_marks[INSTANCES];
        bool s_failed[INSTANCES], s_live[INSTANCES], s_past[INSTANCES];
        byte i, k, n_run, n_held, n_good, n_failed, need, s_alarm;
        int s_content, now_content;
        bool changed;

end:    do
        /* What is listed after the register was read may as well have been listed with it: if the write succeeds, nobody
         * else has written in between. */
        :: atomic { stale[me] && kept(READ_THEN_LIST) ->
                stale[me] = false;
                current[me] = true;
                content(s_content);
                list_marks() }
write:     atomic {
                content(now_content);
                if
                :: current[me] || !kept(IF_MATCH) || (!kept(REV) && now_content == s_content) ->
                        settle();
                        count();
                        judge();
                        grant();
                        if
                        :: changed ->
                                assert(current[me]);
                                written()
                        :: else
                        fi
                :: else -> stale[me] = true /* 412: read again */
                fi;
                now_content = 0;
                current[me] = false;
                forget() }
        :: atomic { stale[me] && !kept(READ_THEN_LIST) ->
                stale[me] = false;
                list_marks() }
           atomic {
                current[me] = true;
                content(s_content);
                goto write }
        od
}

#define me COMBINERS

/* One write of the operator's: it arrives or not, and the answer arrives or not. */
inline attempt_write(new_state, promotes) {
        if
        :: current[me] ->
                state = new_state;
                promoted = promotes;
                written();
                if
                :: unclear = false
                :: unclear = true
                fi
        :: unclear = true
        :: !current[me] -> lost = true
        fi;
        current[me] = false;
        k = 0
}

proctype Operator() {
        byte k, for_stage;
        bool unclear, lost;

        if
        :: OPERATOR == ABORTS ->
                asked_abort = true;
end_a:          do
                :: atomic { state == ABORTED -> break }
                :: atomic { state != ABORTED ->
                        current[me] = true;
                        lost = false;
                        unclear = false }
                   atomic { attempt_write(ABORTED, false) }
                   if
                   :: !lost && (!unclear || !kept(UNCLEAR)) -> break
                   :: else
                   fi
                od;
                done_abort = true
        :: OPERATOR == PAUSES ->
end_p:          do
                :: atomic { state == ACTIVE ->
                        current[me] = true;
                        lost = false }
                   atomic { attempt_write(PAUSED, promoted) }
                   if
                   :: state == PAUSED -> break
                   :: else
                   fi
                :: atomic { state == ABORTED || state == COMPLETE -> break }
                od;
                do
                :: atomic { state == PAUSED ->
                        current[me] = true;
                        lost = false }
                   atomic { attempt_write(ACTIVE, promoted) }
                :: atomic { state != PAUSED -> break }
                od
        :: OPERATOR == PROMOTES ->
end_m:          do
                :: atomic { stage == for_stage && !promoted && for_stage < STAGES - 2 ->
                        meant = for_stage + 1;
                        unclear = false;
                        lost = false }
                   do
                   :: atomic { (stage == for_stage || !kept(PROMOTE_STAGE)) && !promoted ->
                        current[me] = true;
                        lost = false;
                        unclear = false }
                      atomic { attempt_write(state, true) }
                      if
                      :: !lost && !unclear -> break
                      :: else
                      fi
                   :: atomic { promoted || (stage != for_stage && kept(PROMOTE_STAGE)) -> break }
                   od;
                   for_stage++
                od
        :: OPERATOR == HELPS ->
end_h:          do
                :: atomic { state == ACTIVE && alarm == UNKNOWN && !promoted ->
                        current[me] = true;
                        lost = false }
                   atomic { attempt_write(state, true) }
                od
        :: OPERATOR == FORGES ->
                atomic {
                        stage = STAGES - 1;
                        tampered = true;
                        written();
                        k = 0 }
        :: else
        fi
}

/* When nothing can happen any more, it has come to a good end. */
proctype Watch() {
        byte i;
        bool waits;

        atomic {
                timeout;
                for (i : 0 .. INSTANCES - 1) {
                        assert(dead[i] || !(place[i] && awake(i)) || late[i] || at[i] == ENDED);
                        assert(dead[i] || !excused[i] || at[i] == MEMBER || state == ABORTED || state == COMPLETE);
                        waits = waits || (awake(i) && at[i] == ENDED && (marks[i] == M_OUT || (marks[i] == M_BACK && !failed[i])));
                        assert(dead[i] || state != ABORTED || !runs(i));
                        assert(dead[i] || state != COMPLETE || at[i] == MEMBER || at[i] == ENDED);
                        assert(dead[i] || alarm != RINGS || state == ABORTED || state == COMPLETE || !runs(i));
                        assert(!failed[i] || state == ABORTED || state == COMPLETE || MAX_FAILURES > 0)
                }
                assert(!asked_abort || !done_abort || state == ABORTED);
                assert(state == ABORTED || state == COMPLETE || waits || OPERATOR == PROMOTES || tampered ||
                       DEATHS >= INSTANCES || alarm == RINGS || (alarm == UNKNOWN && OPERATOR != HELPS))
        }
}

init {
        byte i;

        atomic {
                for (i : 0 .. INSTANCES - 1) {
                        run Agent(i);
                        run World(i)
                }
                for (i : 0 .. COMBINERS - 1) {
                        run Combiner(i)
                }
                run Signed();
                run Alarm();
                run Operator();
                run Watch()
        }
}
