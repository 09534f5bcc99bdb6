package idgen

// What making an ID can fail with. Match them with [errors.Is].
var (
	// ErrOption: an option is missing or out of range.
	ErrOption = newError("option", "idgen: invalid option")
	// ErrClosed: the generator is closed.
	ErrClosed = newError("closed", "idgen: the generator is closed")
	// ErrBackend: Redis could not be reached, did not answer or answered with
	// an error.
	ErrBackend = newError("backend", "idgen: the ID backend is unavailable")
	// ErrClock: a clock cannot be right. That of this machine, or of Redis, is
	// before the epoch, or they are more than a day apart, or the clock of Redis
	// was set back by more than a [Snowflake] can wait for.
	ErrClock = newError("clock", "idgen: the clock is out of range")
	// ErrTimeExhausted: the time since the epoch no longer fits the ID.
	ErrTimeExhausted = newError("time_exhausted", "idgen: the time since the epoch does not fit the ID")
	// ErrSequenceExhausted: the sequence has no number left.
	ErrSequenceExhausted = newError("sequence_exhausted", "idgen: the sequence is used up")
	// ErrSequenceRegressed: Redis returned numbers that it had returned before,
	// which means that it has lost data. They were not used.
	ErrSequenceRegressed = newError("sequence_regressed", "idgen: the sequence went backwards")
	// ErrLayoutMismatch: another process makes IDs under this name with another
	// layout: an epoch or a time zone that differs.
	ErrLayoutMismatch = newError("layout_mismatch", "idgen: the name is in use with another layout")
	// ErrNoWorker: all worker numbers are taken. [NoWorkerError] tells until when.
	ErrNoWorker = newError("no_worker", "idgen: all worker numbers are taken")
	// ErrLeaseLost: the lease of the worker number is gone, because it was not
	// extended in time or because Redis has lost it. What was made is unique.
	ErrLeaseLost = newError("lease_lost", "idgen: the lease of the worker number is lost")
	// ErrWindowExhausted: all IDs of the times that are leased so far are made:
	// for the moment there are no more.
	ErrWindowExhausted = newError("window_exhausted", "idgen: the leased window of time is used up")
	// ErrUnfit: Redis is set up in a way that can make IDs come twice.
	ErrUnfit = newError("unfit", "idgen: Redis is not fit for IDs")
	// ErrInvalidID: the number is no ID of this kind, or the text is none.
	ErrInvalidID = newError("invalid_id", "idgen: not a valid ID")
)

// kindError is a sentinel with a name for telemetry.
type kindError struct{ kind, text string }

func newError(kind, text string) error { return &kindError{kind, text} }

func (e *kindError) Error() string { return e.text }

// ErrorType is the error's name in telemetry (the error.type attribute).
func (e *kindError) ErrorType() string { return e.kind }
