package keys_test

import (
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/core/keys"
)

func ExampleJoin() {
	fmt.Println(keys.Join("order", "acme", "42"))
	fmt.Println(keys.Join("order", "acme:42")) // not the same
	// Output:
	// order:acme:42
	// order:acme%3A42
}

func ExampleParse() {
	tmpl, err := keys.Parse("order:{header.X-Tenant}:{path.id}")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range tmpl.Refs() {
		fmt.Println(r.Source, r.Name)
	}
	fmt.Println(tmpl.Key("acme", "42"))
	// Output:
	// header X-Tenant
	// path id
	// order:acme:42
}

func ExampleSyntaxError() {
	_, err := keys.Parse("order:{id}")
	if se, ok := errors.AsType[*keys.SyntaxError](err); ok {
		fmt.Println(se.Offset, se.Reason)
	}
	// Output:
	// 6 placeholder {id} has no source: write where the value comes from, such as {path.id}, {query.id} or {header.id} for HTTP, {field.id} or {metadata.id} for gRPC
}

// An HTTP route and a gRPC method that change the same order share its lock.
func ExampleTemplate_Key_shared() {
	http, _ := keys.Parse("order:{path.id}")
	grpc, _ := keys.Parse("order:{field.order_id}")
	fmt.Println(http.Key("42"), http.Key("42") == grpc.Key("42"))
	// Output:
	// order:42 true
}

func ExampleForm() {
	tmpl, _ := keys.Parse("order:{path.id|int}")
	for _, id := range []string{"42", "042", "forty"} {
		id, err := tmpl.Refs()[0].Form.Canonical(id)
		fmt.Println(id, err)
	}
	// Output:
	// 42 <nil>
	// 42 <nil>
	//  keys: not a decimal number of 64 bits
}
