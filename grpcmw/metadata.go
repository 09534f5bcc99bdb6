package grpcmw

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"
)

// badMetadataName says why no call can have metadata with this name, "" if one
// can. See "Custom-Metadata" in
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
func badMetadataName(name string) string {
	if strings.HasPrefix(name, "grpc-") {
		return fmt.Sprintf("metadata name %q is reserved by gRPC", name)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return fmt.Sprintf("metadata name %q holds %q", name, c)
		}
	}
	return ""
}

// metadataValue returns what reads the metadata of that name.
func metadataValue(name string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		switch all := metadata.ValueFromIncomingContext(ctx, name); len(all) {
		case 0:
			return "", nil
		case 1:
			return all[0], nil
		default:
			return "", errRepeated(metadataSource + "." + name)
		}
	}
}
