package backend

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// noLock is what most faults lead to.
const noLock = "every Acquire would fail with ErrBackend"

// maxClients begins the answer of a server that has as many as it takes. (It is
// asked without the ERR before it.)
const maxClients = "max number of clients"

// code is the word that begins an error of Redis, "" if it has none of its own.
func code(err error) string {
	word, _, _ := strings.Cut(err.Error(), " ")
	if word == "ERR" || word == "" || strings.ToUpper(word) != word {
		return ""
	}
	return word
}

// fault is what err means if somebody has to change something, and what if it may
// pass: the error of a connection's beginning, or of a command.
func (a approach) fault(err error) Fault {
	_, direct := err.(redis.Error)
	bySentinels := a.sentinels && !direct && isServerReply(err)
	switch {
	case unknownCredentials(err):
		return a.credentials(err, bySentinels)
	case bySentinels && errors.Is(err, redis.Nil):
		return Fault{
			Kind:    FaultAddress,
			Problem: "the Sentinels watch no master of that name",
			Effect:  noLock,
			Remedy:  "give the client the name that stands in the Sentinels' configuration (sentinel monitor NAME ...) as its MasterName",
			Err:     err,
		}
	case bySentinels && denied(err):
		return Fault{
			Kind:    FaultRights,
			Problem: fmt.Sprintf("the Sentinels refuse their user what the client asks them: %v", err),
			Effect:  noLock,
			Remedy:  "give the user that SentinelUsername names the rights that the package's documentation has for Sentinels, on each of them",
			Err:     err,
		}
	case errors.Is(err, redis.ErrClosed):
		return Fault{
			Kind:    FaultRefused,
			Problem: fmt.Sprintf("the client is closed: %v", err),
			Effect:  noLock,
			Remedy:  "close the Locker first, and the client after it",
			Err:     err,
		}
	case isServerReply(err) && (outage(err) == nil || redis.HasErrorPrefix(err, "READONLY")):
		return refusedReply(err)
	case isServerReply(err):
		return away(err)
	case ofTLS(err):
		return tlsFault(err)
	case a.noAddress(err):
		return Fault{
			Kind:    FaultAddress,
			Problem: fmt.Sprintf("the client's address is none: %v", err),
			Effect:  noLock,
			Remedy:  "give the client host:port; the options of a redis:// URL are made with redis.ParseURL",
			Err:     err,
		}
	}
	return away(err)
}

// unknownCredentials reports whether the server does not know the user, or wants to
// know one.
func unknownCredentials(err error) bool {
	if redis.IsAuthError(err) {
		return true
	}
	for _, prefix := range []string{
		"invalid password",                  // before Redis 6
		"Client sent AUTH, but no password", // before Redis 6
		"AUTH <password> called without any password configured",
		"AUTH called without any password configured",
	} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

func (a approach) credentials(err error, bySentinels bool) Fault {
	f := Fault{Kind: FaultCredentials, Effect: noLock, Err: err}
	switch {
	case bySentinels:
		f.Problem = fmt.Sprintf("the Sentinels do not let the client in: %v", err)
		f.Remedy = "set SentinelUsername and SentinelPassword in the client's options to a user that the Sentinels know, and that is on"
	case redis.HasErrorPrefix(err, "NOAUTH"):
		f.Problem = fmt.Sprintf("it wants a password, and the client has given none: %v", err)
		f.Remedy = "set Username and Password in the client's options"
	case strings.Contains(err.Error(), "without any password") || redis.HasErrorPrefix(err, "Client sent AUTH"):
		f.Problem = fmt.Sprintf("the client gives a password, and it has none: %v", err)
		f.Remedy = "leave Password out of the client's options, or give the server's user one"
	default:
		f.Problem = fmt.Sprintf("it does not let the user %s in: %v", a.user, err)
		f.Remedy = "set Username and Password in the client's options to a user that the server knows and that is on (ACL LIST shows them)"
	}
	return f
}

// refusedReply is the fault of a server that has answered a command, or the begin
// of a connection, with an error that does not pass.
func refusedReply(err error) Fault {
	f := Fault{
		Kind:    FaultRefused,
		Problem: fmt.Sprintf("it refuses the client: %v", err),
		Effect:  noLock,
		Remedy:  remedyFor(err),
		Err:     err,
	}
	switch {
	case redis.HasErrorPrefix(err, "DENIED"):
		f.Problem = "it is in protected mode, and takes connections from its own host alone: " + err.Error()
	case redis.HasErrorPrefix(err, "MISCONF"):
		f.Problem = fmt.Sprintf("it cannot write its data to disk, and refuses PING and all writes: %v", err)
	case redis.HasErrorPrefix(err, "SELECT is not allowed in cluster mode"):
		f.Kind = FaultCluster
		f.Problem = fmt.Sprintf("it is a server of a cluster, and the client is not one of a cluster: %v", err)
	case redis.HasErrorPrefix(err, "READONLY"):
		f.Kind = FaultReplica
		f.Problem = fmt.Sprintf("it is a replica: %v", err)
	}
	return f
}

// remedyFor is what to change, where the error tells.
func remedyFor(err error) string {
	for prefix, remedy := range map[string]string{
		"DENIED":                  "give its default user a password (requirepass, or ACL SETUSER), and the client the same; or have it listen on a private address (bind), with protected-mode no",
		"MISCONF":                 "its log says why it cannot write to its disk (it is full, or its directory is gone: CONFIG SET dir): mend that, then BGSAVE",
		"OOM":                     "raise maxmemory, or delete what else is there; a Redis for the locks alone needs little",
		"NOREPLICAS":              "connect the replicas that min-replicas-to-write asks for, or lower it",
		"DB index is out of":      "give the client's DB a number below the server's `databases` (CONFIG GET databases), or raise that",
		"invalid DB index":        "give the client's DB a number below the server's `databases` (CONFIG GET databases)",
		"SELECT is not allowed":   "use redis.NewClusterClient, which has database 0 alone, or a server that is not in cluster mode",
		"READONLY":                "give the client the master's address, or use redis.NewFailoverClient, which asks Sentinels for it",
		"unknown command":         "the server or a proxy before it has renamed or removed the command: it must work under this name",
		"unknown subcommand":      "the server or a proxy before it does not know the command: Redis 7.0 or newer has it",
		"unsupported protocol":    "set Protocol to 2 in the client's options",
		"NOPROTO":                 "set Protocol to 2 in the client's options",
		"wrong number of argumen": "the server does not know the command in this form: Redis 7.0 or newer does",
	} {
		if redis.HasErrorPrefix(err, prefix) || scriptErrorIs(err, prefix) {
			return remedy
		}
	}
	return "what the server's error says; all these commands, under these names, must work in scripts, on Redis 7.0 or newer"
}

// scriptErrorIs is redis.HasErrorPrefix for an error within a script.
func scriptErrorIs(err error, prefix string) bool {
	e, ok := err.(*ScriptError)
	return ok && strings.HasPrefix(strings.TrimPrefix(e.Text, "ERR "), prefix)
}

// ofTLS reports whether TLS could not be begun, for a reason that stays.
func ofTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return true
	}
	return saidByTLS(err)
}

// saidByTLS reports whether the other side has answered the beginning of TLS, if
// with a refusal, or with something else.
func saidByTLS(err error) bool {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "remote error" || op.Op == "local error") // crypto/tls calls its alerts so
}

func tlsFault(err error) Fault {
	f := Fault{Kind: FaultTLS, Effect: noLock, Err: err}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case unknown:
		f.Problem = fmt.Sprintf("the client does not know who has signed its certificate: %v", err)
		f.Remedy = "add the CA's certificate to RootCAs of the client's TLSConfig"
	case name:
		f.Problem = fmt.Sprintf("its certificate is for another name: %v", err)
		f.Remedy = "give the client an address that is in the certificate, or the name that is as ServerName of its TLSConfig"
	case isInvalid && invalid.Reason == x509.Expired:
		f.Problem = fmt.Sprintf("its certificate is not valid at this time: %v", err)
		f.Remedy = "renew the server's certificate; look at the clocks of both"
	case noTLS:
		f.Problem = fmt.Sprintf("the client talks TLS, and it does not: %v", err)
		f.Remedy = "give the client the server's TLS port (its tls-port), or leave TLSConfig out of the client's options"
	case saidByTLS(err):
		f.Problem = fmt.Sprintf("it and the client do not agree on TLS: %v", err)
		f.Remedy = "if it asks for a certificate (tls-auth-clients), give the client one that its CA has signed, as Certificates of its TLSConfig; else look at the versions and ciphers of both"
	default:
		f.Problem = fmt.Sprintf("its certificate is not valid: %v", err)
		f.Remedy = "give the server a certificate that the client can verify"
	}
	return f
}

// noAddress reports whether err is about an address that cannot be one.
func (a approach) noAddress(err error) bool {
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.UnknownNetworkError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "dial" || a.sentinels || a.network == "unix" {
		return false
	}
	for _, addr := range a.addrs {
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = net.LookupPort(a.network, port)
		}
		if err != nil {
			return true
		}
	}
	return false
}

// away is the fault of a server that cannot be asked just now: nobody has to change
// anything, or not at the server.
func away(err error) Fault {
	f := Fault{
		Kind:    FaultUnreachable,
		Problem: fmt.Sprintf("it could not be asked: %v", err),
		Effect:  "nothing is known of it; until it answers, every Acquire fails with ErrBackend",
		Remedy:  "check that it runs, its address, and the network between, and ask again",
		Err:     err,
	}
	switch {
	case redis.IsLoadingError(err):
		f.Problem, f.Remedy = fmt.Sprintf("it is loading its data: %v", err), "wait until it has, and ask again"
	case redis.HasErrorPrefix(err, "BUSY"):
		f.Problem = fmt.Sprintf("a script or a function keeps it busy: %v", err)
		f.Remedy = "SCRIPT KILL or FUNCTION KILL ends one that has written nothing; ask again"
	case redis.IsMasterDownError(err):
		f.Problem = fmt.Sprintf("it is a replica without a connection to its master: %v", err)
		f.Remedy = "give the client the master's address; if a failover is under way, ask again"
	case redis.IsClusterDownError(err):
		f.Problem = fmt.Sprintf("its cluster does not serve all slots: %v", err)
		f.Remedy = "CLUSTER INFO and CLUSTER NODES show which masters are away; ask again when the cluster is up"
	case redis.HasErrorPrefix(err, maxClients):
		f.Problem = fmt.Sprintf("it has as many clients as it takes: %v", err)
		f.Remedy = "raise its maxclients, or have fewer connections (PoolSize of each process); ask again"
	case errors.Is(err, redis.ErrPoolTimeout):
		f.Problem = fmt.Sprintf("the client had no connection to spare: %v", err)
		f.Remedy = "raise the client's PoolSize, or give the Locker a client of its own; ask again"
	}
	return f
}
