#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The education platform in earnest: 600 enrolments and submissions, one service killed and started again on the way; then the
# audit, which also has to notice what is planted. usage: edu.sh SEED
set -eu
. "$(dirname "$0")/lib.sh"
seed=${1:-1}

start_grade() {
    start grade "$EDU/edu-grade" --coordinator "$coordinator" --data "$dir/grade.db" --hours 40
    await_ready grade
}

start_platform() {
    start course "$EDU/edu-course" --coordinator "$coordinator" --data "$dir/course.db" --seats 30
    start tuition "$EDU/edu-tuition" --coordinator "$coordinator" --data "$dir/tuition.db" --funds 80000
    start assignment "$EDU/edu-assignment" --coordinator "$coordinator" --data "$dir/assignment.db" --listen 127.0.0.1:0
    start_grade
    await_ready course
    await_ready tuition
    await_ready assignment
}

traffic() {
    "$EDU/edu-traffic" --coordinator "$coordinator" --log "$dir/log" "$@"
}

audit() {
    "$EDU/edu-audit" --course "$dir/course.db" --tuition "$dir/tuition.db" --assignment "$dir/assignment.db" \
        --grade "$dir/grade.db" --log "$dir/log" "$@"
}

for program in course tuition assignment grade traffic audit; do
    expect_status 0 "$EDU/edu-$program" --help >"$dir/help"
    expect_status 2 "$EDU/edu-$program" --nonsense >"$dir/help"
done

start_coordinator
start_platform
traffic --seed "$seed" --requests 100 --run --print
traffic --seed $((seed + 1)) --requests 100 --step-by-step
audit --at-rest --wait 60

# A service dies with calls in its hands, and comes back on the same database.
start traffic "$EDU/edu-traffic" --coordinator "$coordinator" --log "$dir/log" --seed $((seed + 2)) --requests 400 --timeout 60 --print
await_line traffic "^request" 20
kill_hard grade
start_grade
await_end traffic 120
tail -n 1 "$dir/traffic.out"
audit --at-rest --wait 60

for service in course tuition assignment grade coordinator; do
    stop $service
done
grep -q confirmed "$dir/log" || fail "nothing was confirmed"
grep -q cancelled "$dir/log" || fail "nothing was cancelled"

graded=$("$SQL" "$dir/grade.db" "SELECT gid FROM entry WHERE state = 'OPEN' LIMIT 1")
enrolled=$("$SQL" "$dir/course.db" "SELECT gid FROM enrolment WHERE state = 'ENROLLED' LIMIT 1")
planted "a confirm gone" grade "DELETE FROM effect WHERE gid = '$graded' AND op = 'confirm'" "$graded: confirmed, but not in grade"
planted "a charge twice" tuition "INSERT INTO effect SELECT * FROM effect WHERE gid = '$enrolled' AND op = 'confirm'" "$enrolled: tuition: confirm applied 2 times"
planted "a seat lost" course "UPDATE course SET free = free - 1 WHERE course = 1" "course 1: 30 seats at first"
planted "a balance changed" tuition "UPDATE account SET balance = balance - 1 WHERE student = 3" "student 3: .* cents at first"
planted "a seat that was not paid" course "DELETE FROM enrolment WHERE gid = '$enrolled'" "cents charged, seats for"
planted "a submission withdrawn by half" assignment "UPDATE submission SET state = 'WITHDRAWN' WHERE gid = '$graded'" "$graded: an open entry of student"
planted "a grade entry gone" grade "DELETE FROM entry WHERE gid = '$graded'" "$graded: assignment .* has no open entry"
audit --at-rest
