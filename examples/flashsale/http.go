package main

import (
	"errors"
	"io"
	"net/http"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
	"github.com/latchkey-go/latchkey/httpmw"
)

// newHTTPHandler is the shop over HTTP: the messages of shop.proto as JSON.
// Only the purchase is protected; looking at the stock needs no lock.
func newHTTPHandler(c *checkout) http.Handler {
	api := &httpAPI{c}
	mux := http.NewServeMux()
	mux.Handle("POST /items/{item}/orders", c.protection.http(http.HandlerFunc(api.order)))
	mux.HandleFunc("GET /items/{item}", api.stock)
	return httpmw.RequestID()(mux)
}

type httpAPI struct{ *checkout }

// maxBody is more than any order, in bytes.
const maxBody = 4 << 10

func (a *httpAPI) order(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the order cannot be read", http.StatusBadRequest)
		return
	}
	var req shoppb.BuyRequest
	if err := protojson.Unmarshal(body, &req); err != nil {
		http.Error(w, "the order is not a BuyRequest in JSON", http.StatusBadRequest)
		return
	}
	req.Item = r.PathValue("item") // what is locked is what is bought
	reply, err := a.buy(r.Context(), &req)
	a.answer(w, r, reply, err)
}

func (a *httpAPI) stock(w http.ResponseWriter, r *http.Request) {
	left, err := a.shop.Stock(r.Context(), r.PathValue("item"))
	a.answer(w, r, &shoppb.StockReply{Left: int32(left)}, err)
}

func (a *httpAPI) answer(w http.ResponseWriter, r *http.Request, reply proto.Message, err error) {
	switch {
	case err == nil:
		a.write(w, reply)
	case r.Context().Err() != nil:
		// Either the client has gone, or the lock is lost: then the middleware
		// answers, as long as nothing has been written.
	case errors.Is(err, core.ErrStale):
		httpmw.WriteDenial(w, r, core.Denied(err))
	case errors.Is(err, shop.ErrUnknownItem):
		http.Error(w, "there is no such item", http.StatusNotFound)
	case errors.Is(err, shop.ErrQuantity):
		http.Error(w, "the quantity must be at least 1", http.StatusBadRequest)
	default:
		a.faults.note(err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

func (a *httpAPI) write(w http.ResponseWriter, reply proto.Message) {
	// UseProtoNames: order_id, as in shop.proto; 0 left is worth saying.
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(reply)
	if err != nil {
		a.faults.note(err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // fails if the client is gone: nobody to tell
}
