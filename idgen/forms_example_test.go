package idgen_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/latchkey-go/latchkey/idgen"
)

// Order and User name two types of ID.
type (
	Order struct{}
	User  struct{}
)

func (Order) Prefix() string { return "ord" }
func (User) Prefix() string  { return "usr" }

type (
	OrderID = idgen.TypedID[Order, uuid.UUID]
	UserID  = idgen.TypedID[User, uuid.UUID]
)

func ExampleTyped() {
	orders, err := idgen.NewTyped[Order](&idgen.UUIDv7{}) // or a Snowflake, for shorter ones
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := orders.Next(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	made, err := idgen.TimeOfUUIDv7(id.Raw())
	fmt.Println(id.String()[:6], len(id.String()), made.Year() >= 2024, err)
	// Output:
	// ord_01 30 true <nil>
}

// An order's ID is taken where that of an order is wanted, and nowhere else: the
// compiler sees to it inside the program, and parsing at its edge.
func ExampleParseTyped() {
	id, err := idgen.ParseTyped[Order, uuid.UUID]("ord_01h455vb4pex5vsknk084sn02q")
	fmt.Println(id.Raw(), err)

	var order OrderID
	err = json.Unmarshal([]byte(`"usr_01h455vb4pex5vsknk084sn02q"`), &order)
	fmt.Println(err)

	var user UserID
	err = json.Unmarshal([]byte(`"usr_01h455vb4pex5vsknk084sn02q"`), &user)
	fmt.Println(user, err)
	// Output:
	// 01890a5d-ac96-774b-bcce-b302099a8057 <nil>
	// idgen: not a valid ID: typed "usr_01h455vb4pex5vsknk084sn02q", offset 0: the prefix is "usr", not "ord"
	// usr_01h455vb4pex5vsknk084sn02q <nil>
}

// A short ID can be a BIGINT in the database and have a prefix outside.
func ExampleAsTyped() {
	stored := idgen.ID(121166181380915207)
	fmt.Println(idgen.AsTyped[Order](stored))
	// Output:
	// ord_03bkr00000007
}

func ExampleID() {
	id := idgen.ID(121166181380915207)
	fmt.Println(id)
	fmt.Println(id.Base32())
	fmt.Println(id.Hex())
	// Output:
	// 121166181380915207
	// 03bkr00000007
	// 01ae780000000007
}

// In JSON an ID is a string, because JavaScript would round a number.
func ExampleID_MarshalJSON() {
	type order struct {
		ID    idgen.ID `json:"id"`
		Items int      `json:"items"`
	}
	b, err := json.Marshal(order{ID: 121166181380915207, Items: 2})
	fmt.Println(string(b), err)

	var in order
	err = json.Unmarshal([]byte(`{"id": 121166181380915207}`), &in)
	fmt.Println(errors.Is(err, idgen.ErrInvalidID), err)
	// Output:
	// {"id":"121166181380915207","items":2} <nil>
	// true idgen: not a valid ID: JSON "121166181380915207", offset 0: IDs are strings in JSON; declare the field as int64 for numbers
}

// What rows.Scan and db.Exec do with an ID, with a driver's values.
func ExampleID_Scan() {
	var id idgen.ID
	err := id.Scan(int64(121166181380915207)) // a BIGINT
	fmt.Println(id, err)

	var parent sql.Null[idgen.ID] // a BIGINT NULL
	err = parent.Scan(nil)
	fmt.Println(parent.Valid, err)

	column, err := id.Value()
	fmt.Printf("%T %v %v\n", column, column, err)
	// Output:
	// 121166181380915207 <nil>
	// false <nil>
	// int64 121166181380915207 <nil>
}

func ExampleParseError() {
	_, err := idgen.ParseBase32("03bkro0000007")
	fmt.Println(err)

	var parse *idgen.ParseError
	if errors.As(err, &parse) {
		fmt.Println(parse.Form, parse.Offset)
	}
	// Output:
	// idgen: not a valid ID: base32 "03bkro0000007", offset 5: not one of 0123456789abcdefghjkmnpqrstvwxyz
	// base32 5
}
