package idgen

import (
	"sync"
	"testing"
)

func TestWordsGoOnFromTheLastWhenTheClockStandsOrGoesBack(t *testing.T) {
	w := newWindow(3, 100, 12)
	w.raise(1000)
	for _, c := range []struct{ now, want uint64 }{
		{0, 100}, {100, 101}, {500, 500}, {400, 501}, {0, 502}, {999, 999},
	} {
		if first, n := w.take(c.now, 1, 1); n != 1 || first != c.want {
			t.Errorf("at %d: %d words from %d, want one, %d", c.now, n, first, c.want)
		}
	}
	if _, n := w.take(0, 1, 1); n != 0 {
		t.Error("a word at the ceiling was given out")
	}
}

func TestNothingIsGivenOutBeforeTheCeilingIsRaisedOrAfterTheSeal(t *testing.T) {
	w := newWindow(0, 100, 12)
	if _, n := w.take(200, 1, 1); n != 0 || w.room(0) != 0 {
		t.Errorf("%d words, room for %d without a ceiling above the base", n, w.room(0))
	}
	w.raise(300)
	w.raise(250)
	if got := w.room(200); got != 100 {
		t.Errorf("room for %d from 200 to 300", got)
	}
	w.seal()
	w.raise(1 << 60)
	if _, n := w.take(200, 1, 1); n != 0 || w.room(0) != 0 {
		t.Errorf("%d words, room for %d after the seal", n, w.room(0))
	}
	if _, n := noWindow().take(200, 1, 1); n != 0 {
		t.Error("words without a tenancy")
	}
}

func TestABlockIsTakenWholeOrNotAtAllUnlessPartsWillDo(t *testing.T) {
	w := newWindow(0, 100, 12)
	w.raise(150)
	if _, n := w.take(0, 51, 51); n != 0 {
		t.Errorf("%d words of 51 where there are 50", n)
	}
	if first, n := w.take(0, 51, 10); first != 100 || n != 50 {
		t.Errorf("%d words from %d, want the 50 from 100", n, first)
	}
}

func TestAWordBecomesTimeWorkerAndSequence(t *testing.T) {
	for _, bits := range []int{1, 10, 12} {
		sequenceBits := uint(sharedBits - bits)
		worker := uint64(1)<<bits - 1
		w := newWindow(worker, 1, sequenceBits)
		p, err := SplitSnowflake(w.id(uint64(1234567)<<sequenceBits|7), testEpoch, bits)
		if err != nil || p.Time.Sub(testEpoch).Milliseconds() != 1234567 || p.Worker != int(worker) || p.Sequence != 7 {
			t.Errorf("%d worker bits: %+v, %v", bits, p, err)
		}
	}
	most := newWindow(1023, 1, 12).id(1<<(timeBits+12) - 1)
	if most != 1<<63-1 {
		t.Errorf("the last word of all is the ID %d", most)
	}
}

func TestEachWordIsGivenOutOnceAndNoneAfterTheSealHasReturned(t *testing.T) {
	const goroutines, ceiling = 8, 200_000
	w := newWindow(0, 1, 12)
	w.raise(ceiling)
	taken := make([][]uint64, goroutines)
	sealing := make(chan struct{})
	halfway := sync.OnceFunc(func() { close(sealing) })
	var after uint64
	var wg sync.WaitGroup
	for g := range taken {
		wg.Go(func() {
			for {
				first, n := w.take(0, uint64(g)+1, 1)
				if n == 0 {
					return
				}
				taken[g] = append(taken[g], first, n)
				if first > ceiling/2 {
					halfway()
				}
			}
		})
	}
	wg.Go(func() {
		<-sealing
		w.seal()
		_, after = w.take(0, 1, 1)
	})
	wg.Wait()
	if after != 0 {
		t.Error("a word was given out after the seal")
	}
	seen := make([]bool, ceiling)
	for _, blocks := range taken {
		for i := 0; i < len(blocks); i += 2 {
			for word := blocks[i]; word < blocks[i]+blocks[i+1]; word++ {
				if seen[word] {
					t.Fatalf("%d was given out twice", word)
				}
				seen[word] = true
			}
		}
	}
}
