package crowd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
)

// HTTPDoor buys with POST requests from the server at Base.
type HTTPDoor struct {
	Client *http.Client
	Base   string // such as http://127.0.0.1:8080
}

var _ Door = (*HTTPDoor)(nil)

// NewHTTPClient returns a client that keeps a connection for each of inFlight
// buyers. Close its idle connections when done.
func NewHTTPClient(inFlight int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConns:        inFlight,
		MaxIdleConnsPerHost: inFlight,
		IdleConnTimeout:     30 * time.Second,
	}}
}

// maxReply is more than any reply of the shop, in bytes.
const maxReply = 64 << 10

// Buy posts one order.
func (d *HTTPDoor) Buy(ctx context.Context, item, buyer string) Answer {
	body, err := protojson.Marshal(&shoppb.BuyRequest{Buyer: buyer, Quantity: 1})
	if err != nil {
		return Answer{Outcome: Failed, Err: err}
	}
	target := d.Base + "/items/" + url.PathEscape(item) + "/orders"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return Answer{Outcome: Failed, Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.Client.Do(req)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return unanswered(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusedOverHTTP(resp.Status, text)
	}
	var reply shoppb.BuyReply
	if err := protojson.Unmarshal(text, &reply); err != nil {
		return Answer{Outcome: Failed, Err: fmt.Errorf("reply: %w", err)}
	}
	return served(&reply)
}

// served is the answer of a reply, which is the same over both transports.
func served(reply *shoppb.BuyReply) Answer {
	if reply.GetSoldOut() {
		return Answer{Outcome: SoldOut}
	}
	return Answer{Outcome: Sold, OrderID: reply.GetOrderId()}
}

// refusedOverHTTP tells a denial, whose problem document (RFC 9457) has a
// reason, from a fault.
func refusedOverHTTP(status string, body []byte) Answer {
	var problem struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(body, &problem); err == nil && problem.Reason != "" {
		return Answer{Outcome: Denied, Reason: problem.Reason}
	}
	return Answer{Outcome: Failed, Err: fmt.Errorf("HTTP status %s: %.200s", status, body)}
}
