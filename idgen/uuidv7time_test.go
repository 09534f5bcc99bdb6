package idgen

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestTheTimeOfAUUIDv7IsItsMillisecond(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 0, 0, 123_999_999, time.UTC)
	g := &UUIDv7{now: at.UnixNano}
	id, _ := g.Next(t.Context())
	if got, err := TimeOfUUIDv7(id); err != nil || got != at.Truncate(time.Millisecond) {
		t.Errorf("%v was made at %v, %v; want the millisecond of %v", id, got, err, at)
	}
	for text, want := range map[string]time.Time{
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398f": time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC), // RFC 9562, appendix A.6
		"00000000-0000-7000-8000-000000000000": time.Unix(0, 0).UTC(),
		"ffffffff-ffff-7fff-bfff-ffffffffffff": time.UnixMilli(1<<48 - 1).UTC(), // in the year 10889
	} {
		if got, err := TimeOfUUIDv7(uuid.MustParse(text)); err != nil || got != want {
			t.Errorf("%s was made at %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestOnlyAVersion7UUIDHasThatTime(t *testing.T) {
	g := &UUIDv4{}
	v4, _ := g.Next(t.Context())
	for _, id := range []uuid.UUID{
		v4, uuid.Nil, uuid.Max,
		uuid.MustParse("017f22e2-79b0-7cc3-18c4-dc0c0c07398f"), // of the NCS variant
		uuid.MustParse("017f22e2-79b0-7cc3-d8c4-dc0c0c07398f"), // of Microsoft's
		uuid.MustParse("1ec9414c-232a-6b00-b3c8-9f6bdeced846"), // version 6
	} {
		if got, err := TimeOfUUIDv7(id); !errors.Is(err, ErrInvalidID) || !got.IsZero() {
			t.Errorf("%v: %v, %v; want ErrInvalidID", id, got, err)
		}
	}
}

func FuzzTheTimeOfAUUIDIsThatOfItsVersion7(f *testing.F) {
	f.Add([]byte("\x01\x7f\x22\xe2\x79\xb0\x7c\xc3\x98\xc4\xdc\x0c\x0c\x07\x39\x8f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := uuid.FromBytes(b)
		if err != nil {
			return
		}
		got, err := TimeOfUUIDv7(id)
		text := id.String()
		if v7 := text[14] == '7' && text[19] >= '8' && text[19] <= 'b'; v7 != (err == nil) {
			t.Fatalf("%v: %v, %v", id, got, err)
		} else if !v7 {
			return
		}
		milli, err := strconv.ParseInt(text[:8]+text[9:13], 16, 64)
		if err != nil || got.UnixMilli() != milli || got.Location() != time.UTC {
			t.Fatalf("%v: %v (%d ms), want %d ms, %v", id, got, got.UnixMilli(), milli, err)
		}
	})
}
