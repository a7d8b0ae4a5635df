// SPDX-License-Identifier: Apache-2.0

package main

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"time"

	_ "github.com/mattn/go-sqlite3"
	pb "tercet/v1"
)

// The barrier of docs/protocol.md, sections 3 and 4, in SQLite. It knows nothing of what hooks do.

const (
	branchesMax = 1024
	deletedMax  = 256            // rows, with one call
	aheadMax    = 24 * time.Hour // of the clock, for marks
)

var gidPattern = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

const tables = `
CREATE TABLE IF NOT EXISTS barrier (
  gid TEXT NOT NULL, branch INTEGER NOT NULL, state TEXT NOT NULL, number INTEGER NOT NULL, reply BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY (gid, branch)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS barrier_number ON barrier (number) WHERE number > 0 AND state <> 'tried';
CREATE TABLE IF NOT EXISTS barrier_fact (one INTEGER PRIMARY KEY CHECK (one = 1), source TEXT NOT NULL, mark INTEGER NOT NULL);
INSERT OR IGNORE INTO barrier_fact VALUES (1, '', 0);`

// refusal is what a try's hook returns when it cannot be done: nothing is done then.
type refusal string

func (r refusal) Error() string { return string(r) }

// hook works in the open transaction, and returns a try's reply.
type hook func(tx *sql.Tx, call *pb.Call) ([]byte, error)

type barrier struct{ db *sql.DB }

func openBarrier(path string) (*barrier, error) {
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_busy_timeout=10000")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // one writer: calls wait for each other here
	_, err = db.Exec(tables)
	return &barrier{db}, err
}

// run is one call in one local transaction. What it returns is committed, or not known and thus AGAIN.
func (b *barrier) run(call *pb.Call, work hook) *pb.CallResult {
	tx, err := b.db.Begin()
	if err != nil {
		return again(err)
	}
	result, err := runIn(tx, call, work)
	if err == nil {
		err = tx.Commit()
	} else {
		tx.Rollback()
	}
	var refused refusal
	if errors.As(err, &refused) && call.Kind == pb.Kind_TRY {
		return &pb.CallResult{Outcome: pb.Outcome_REFUSAL, Reason: string(refused)}
	}
	if err != nil {
		return again(err)
	}
	return result
}

func again(err error) *pb.CallResult {
	reason := err.Error()
	if len(reason) > 256 {
		reason = reason[:256]
	}
	return &pb.CallResult{Outcome: pb.Outcome_AGAIN, Reason: reason}
}

func runIn(tx *sql.Tx, call *pb.Call, work hook) (*pb.CallResult, error) {
	if !gidPattern.MatchString(call.Gid) || call.Branch < 1 || call.Branch > branchesMax {
		return nil, errors.New("this is no call: gid or branch is out of its limits")
	}
	number, mark, err := takeMark(tx, call)
	if err != nil {
		return nil, err
	}
	hasEnded := number > 0 && number <= mark
	var result *pb.CallResult
	switch call.Kind {
	case pb.Kind_TRY:
		result, err = try(tx, call, work, number, hasEnded)
	case pb.Kind_CONFIRM:
		result, err = end(tx, call, work, number, hasEnded, "confirmed")
	case pb.Kind_CANCEL:
		result, err = end(tx, call, work, number, hasEnded, "cancelled")
	default:
		err = fmt.Errorf("kind %d is not known here", call.Kind)
	}
	if err == nil {
		err = deleteEnded(tx, mark)
	}
	return result, err
}

func try(tx *sql.Tx, call *pb.Call, work hook, number int64, hasEnded bool) (*pb.CallResult, error) {
	if hasEnded {
		return &pb.CallResult{Outcome: pb.Outcome_REFUSAL, Reason: "this transaction has ended"}, nil
	}
	isNew, err := insert(tx, call, "tried", number)
	if err != nil {
		return nil, err
	}
	if !isNew {
		state, reply, err := row(tx, call)
		if state == "cancelled" {
			return &pb.CallResult{Outcome: pb.Outcome_REFUSAL, Reason: "cancelled already"}, err
		}
		return &pb.CallResult{Outcome: pb.Outcome_DONE, Reply: reply}, err
	}
	reply, err := work(tx, call)
	if err == nil && len(reply) > 0 {
		_, err = tx.Exec("UPDATE barrier SET reply = ? WHERE gid = ? AND branch = ?", reply, call.Gid, call.Branch)
	}
	return &pb.CallResult{Outcome: pb.Outcome_DONE, Reply: reply}, err
}

func end(tx *sql.Tx, call *pb.Call, work hook, number int64, hasEnded bool, wanted string) (*pb.CallResult, error) {
	done := &pb.CallResult{Outcome: pb.Outcome_DONE}
	wasTried, err := changed(tx.Exec("UPDATE barrier SET state = ? WHERE gid = ? AND branch = ? AND state = 'tried'",
		wanted, call.Gid, call.Branch))
	if err == nil && wasTried {
		_, err = work(tx, call)
		return done, err
	}
	if err == nil && call.Kind == pb.Kind_CANCEL && !hasEnded {
		_, err = insert(tx, call, "cancelled", number) // an empty cancel, unless there is a row
	}
	if err != nil {
		return nil, err
	}
	state, _, err := row(tx, call)
	if state == wanted || (state == "" && hasEnded) {
		return done, err
	}
	return &pb.CallResult{Outcome: pb.Outcome_BROKEN, Reason: "broken promise: here the branch is \"" + state + "\""}, err
}

// -- Rows: write first, then look -----------------------------------------------------------------------------------------------

func changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	count, err := result.RowsAffected()
	return count == 1, err
}

func insert(tx *sql.Tx, call *pb.Call, state string, number int64) (bool, error) {
	return changed(tx.Exec("INSERT OR IGNORE INTO barrier (gid, branch, state, number) VALUES (?, ?, ?, ?)",
		call.Gid, call.Branch, state, number))
}

// row has the state "" when there is none.
func row(tx *sql.Tx, call *pb.Call) (state string, reply []byte, err error) {
	err = tx.QueryRow("SELECT state, reply FROM barrier WHERE gid = ? AND branch = ?", call.Gid, call.Branch).Scan(&state, &reply)
	if err == sql.ErrNoRows {
		err = nil
	}
	return state, reply, err
}

// -- Marks (section 4) ----------------------------------------------------------------------------------------------------------

// takeMark returns the call's number and the mark, as far as they mean anything here.
func takeMark(tx *sql.Tx, call *pb.Call) (number int64, mark int64, err error) {
	var source string
	if err = tx.QueryRow("SELECT source, mark FROM barrier_fact").Scan(&source, &mark); err != nil {
		return 0, 0, err
	}
	number, lowWater, own := int64(call.Number), int64(call.LowWater), fmt.Sprintf("%016x", call.Source)
	if lowWater>>20 > time.Now().Add(aheadMax).Unix() {
		lowWater = 0
	}
	if source == "" && call.Source != 0 {
		_, err = tx.Exec("UPDATE barrier_fact SET source = ?", own)
	} else if call.Source != 0 && own != source {
		return 0, mark, nil
	}
	if err == nil && lowWater > mark {
		mark = lowWater
		_, err = tx.Exec("UPDATE barrier_fact SET mark = ?", mark)
	}
	return number, mark, err
}

func deleteEnded(tx *sql.Tx, mark int64) error {
	_, err := tx.Exec(`DELETE FROM barrier WHERE (gid, branch) IN (SELECT gid, branch FROM barrier
		WHERE state <> 'tried' AND number > 0 AND number <= ? LIMIT ?)`, mark, deletedMax)
	return err
}
