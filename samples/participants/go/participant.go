// SPDX-License-Identifier: Apache-2.0

// A participant in Go: a stock that a try reserves from. It listens, and registers at its coordinator now and then.
//
//	participant COORDINATOR FILE
package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	pb "tercet/v1"
)

const (
	service       = "stock"
	items         = 1000000
	registerEvery = 30 * time.Second // the coordinator may have forgotten
	registerAgain = time.Second      // it cannot be reached
)

// -- The hooks ------------------------------------------------------------------------------------------------------------------

var hooks = map[string]map[pb.Kind]hook{
	service + "/reserve": {pb.Kind_TRY: reserve, pb.Kind_CONFIRM: sell, pb.Kind_CANCEL: giveBack},
}

func amountOf(call *pb.Call) (int64, error) {
	var order struct{ Amount int64 }
	if json.Unmarshal(call.Payload, &order) != nil || order.Amount < 1 {
		return 0, refusal(`the payload is no JSON like {"amount": 1}`)
	}
	return order.Amount, nil
}

// change runs a statement with the amount in it as often as it says ?1.
func change(tx *sql.Tx, call *pb.Call, statement string) (bool, error) {
	amount, err := amountOf(call)
	if err != nil {
		return false, err
	}
	return changed(tx.Exec(statement, amount))
}

func reserve(tx *sql.Tx, call *pb.Call) ([]byte, error) {
	isDone, err := change(tx, call, "UPDATE stock SET free = free - ?1, reserved = reserved + ?1 WHERE free >= ?1")
	if err != nil {
		return nil, err
	}
	if !isDone {
		return nil, refusal("sold out")
	}
	var left int64
	err = tx.QueryRow("SELECT free FROM stock").Scan(&left)
	return []byte(fmt.Sprintf(`{"left": %d}`, left)), err
}

func sell(tx *sql.Tx, call *pb.Call) ([]byte, error) {
	_, err := change(tx, call, "UPDATE stock SET reserved = reserved - ?1, sold = sold + ?1")
	return nil, err
}

func giveBack(tx *sql.Tx, call *pb.Call) ([]byte, error) {
	_, err := change(tx, call, "UPDATE stock SET reserved = reserved - ?1, free = free + ?1")
	return nil, err
}

// -- Calls ----------------------------------------------------------------------------------------------------------------------

type server struct {
	pb.UnimplementedParticipantServer
	barrier       *barrier
	authorization string // what our coordinator brings
}

func (s *server) Execute(ctx context.Context, call *pb.Call) (*pb.CallResult, error) {
	given, _ := metadata.FromIncomingContext(ctx)
	if subtle.ConstantTimeCompare([]byte(strings.Join(given.Get("authorization"), "")), []byte(s.authorization)) != 1 {
		return nil, status.Error(codes.Unauthenticated, "only the coordinator at which this participant has registered may call")
	}
	work := hooks[call.Action][call.Kind]
	if work == nil {
		return again(fmt.Errorf("%s is not served here", call.Action)), nil
	}
	return s.barrier.run(call, work), nil // whether or not anybody still waits for it
}

func register(client pb.ParticipantsClient, target, token string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := client.RegisterTarget(ctx, &pb.RegisterRequest{Service: service, Actions: []string{"reserve"}, Target: target, Token: token})
	return err
}

func keepRegistered(coordinator, target, token string) {
	connection, err := grpc.Dial(coordinator, grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	for {
		pause := registerEvery
		if err := register(pb.NewParticipantsClient(connection), target, token); err != nil {
			log.Printf("not registered: %v", err)
			pause = registerAgain
		}
		time.Sleep(pause)
	}
}

// -- Starting -------------------------------------------------------------------------------------------------------------------

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: participant COORDINATOR FILE")
	}
	known, err := openBarrier(os.Args[2])
	must(err)
	_, err = known.db.Exec(fmt.Sprintf(`CREATE TABLE IF NOT EXISTS stock (one INTEGER PRIMARY KEY CHECK (one = 1),
		free INTEGER, reserved INTEGER, sold INTEGER); INSERT OR IGNORE INTO stock VALUES (1, %d, 0, 0)`, items))
	must(err)
	random := make([]byte, 24)
	_, err = rand.Read(random)
	must(err)
	token := hex.EncodeToString(random)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go keepRegistered(os.Args[1], listener.Addr().String(), token)
	grpcServer := grpc.NewServer()
	pb.RegisterParticipantServer(grpcServer, &server{barrier: known, authorization: "Bearer " + token})
	must(grpcServer.Serve(listener))
}
