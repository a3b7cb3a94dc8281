package web

import (
	_ "embed"
	"net/http"
)

// openAPIText describes the API (OpenAPI 3.1). A test holds it to the routes and to the types of what is sent.
//
//go:embed openapi.json
var openAPIText []byte

func openAPI(w http.ResponseWriter, _ *http.Request, _ visitor) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPIText)
}
