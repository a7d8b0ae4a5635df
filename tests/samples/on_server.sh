#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The education platform on the database server that with-postgres or with-mysql has started, a database a service; one service is
# two instances that start at once. Buyers, the audit, and something that the audit has to notice; then what is wrong with URLs.
set -eu
. "$(dirname "$0")/lib.sh"

declare -A url
for service in course tuition assignment grade; do
    url[$service]=$("$TERCET_TEST_SCRIPT" --database "$TERCET_TEST_FOLDER" $service)
done

start_service() { # name program option...
    local name=$1 service=$2
    shift 2
    start "$name" "$EDU/edu-$service" --coordinator "$coordinator" --db "${url[$service]}" "$@"
}

audit() {
    "$EDU/edu-audit" --course "${url[course]}" --tuition "${url[tuition]}" --assignment "${url[assignment]}" \
        --grade "${url[grade]}" --log "$dir/log" "$@"
}

change() { # SQL, in the database of the courses
    if [ "$TERCET_TEST_DRIVER" = postgres ]; then
        psql -q "${url[course]}" -c "$1"
    else
        mariadb --no-defaults --socket="$TERCET_TEST_MYSQL" -u root course -e "$1"
    fi
}

expect_status 2 audit # nobody has made the tables yet
grep -q "course: .*barrier-$TERCET_TEST_DRIVER.sql" "$dir/last.out" || fail "an audit before the service"

start_coordinator
start_service course course
start_service course2 course --connections 2
start_service tuition tuition
start_service assignment assignment --listen 127.0.0.1:0
start_service grade grade
for name in course course2 tuition assignment grade; do await_ready $name; done
"$EDU/edu-traffic" --coordinator "$coordinator" --log "$dir/log" --seed 3 --requests 400 --in-flight 16 --timeout 60s
grep -q confirmed "$dir/log" || fail "nothing was confirmed"
grep -q cancelled "$dir/log" || fail "nothing was cancelled"
audit --at-rest --wait 60 | tee "$dir/audit.out"
grep -q "400 outcomes told; [1-9][0-9]* effects" "$dir/audit.out" || fail "the audit saw nothing"

change "UPDATE course SET taken = taken + 1 WHERE course = 1"
expect_status 1 audit --at-rest
grep -q "course 1: 20 seats at first" "$dir/last.out" || fail "a seat too many is not seen"

for name in course course2 tuition assignment grade coordinator; do stop $name; done
expect_status 1 "$EDU/edu-course" --db "${url[course]/course/nowhere}"
grep -q nowhere "$dir/last.out" || fail "the database that is not there is not named"
expect_status 1 "$EDU/edu-course" --db lmdb:"$dir/lmdb"
expect_status 1 "$EDU/edu-course" --db memory:
grep -q "hooks speak SQL" "$dir/last.out" || fail "that hooks speak SQL is not said"
expect_status 2 "$EDU/edu-course" --db "${url[course]}" --data "$dir/course.db"
