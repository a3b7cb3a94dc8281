package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rave/engine/problem"
)

// described is openapi.json as a tree.
func described(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(openAPIText, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at follows keys into a tree, and references into the document; nil if there is nothing.
func at(doc map[string]any, tree any, keys ...string) any {
	for _, k := range keys {
		m, _ := tree.(map[string]any)
		tree = m[k]
		if m, ok := tree.(map[string]any); ok {
			if target, ok := m["$ref"].(string); ok && strings.HasPrefix(target, "#/components/responses/") {
				tree = at(doc, doc, strings.Split(target, "/")[1:]...)
			}
		}
	}
	return tree
}

// everything has all routes.
func everything() Config {
	cfg := full()
	cfg.Gatherer = prometheus.NewRegistry()
	cfg.Cameras = fakeCameras{}
	return cfg
}

// The document has every route of the API with every method and the permissions that it takes, and nothing else.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	doc := described(t)
	want := map[string]string{}
	for _, r := range newServer(t, everything()).routes() {
		if r.asset || slices.Contains([]string{"/{$}", "/{name}", "/{name}/publish"}, r.path) { // for people
			continue
		}
		for method, e := range r.methods {
			if method != http.MethodOptions { // is CORS, and what a POST answers as well
				want[strings.ToLower(method)+" "+r.path] = strings.Join(e.needs, " or ")
			}
		}
	}
	got := map[string]string{}
	paths, _ := doc["paths"].(map[string]any)
	for path, methods := range paths {
		for method := range methods.(map[string]any) {
			operation := at(doc, methods, method)
			var needs []string
			list, _ := at(doc, operation, "x-permissions").([]any)
			for _, p := range list {
				needs = append(needs, fmt.Sprint(p))
			}
			got[method+" "+path] = strings.Join(needs, " or ")
			if security, _ := at(doc, operation, "security").([]any); (len(security) > 0) != (len(needs) > 0) {
				t.Errorf("%s %s: security does not go with the permissions", method, path)
			}
			var steps []string
			parameters, _ := at(doc, operation, "parameters").([]any)
			for _, p := range parameters {
				if at(doc, p, "in") == "path" {
					steps = append(steps, fmt.Sprint("{", at(doc, p, "name"), "}"))
				}
			}
			for _, step := range strings.Split(path, "/") {
				if strings.HasPrefix(step, "{") != slices.Contains(steps, step) {
					t.Errorf("%s %s: %s as a parameter of the path: %v", method, path, step, steps)
				}
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the document has\n%v\nthe server\n%v", got, want)
	}
}

// bodies are the types of what is sent and taken as JSON.
func bodies() (answers, requests map[string]any) {
	return map[string]any{
		"get /readyz": Readiness{}, "get /api/v1/status": Status{}, "get /api/v1/streams": []Stream{}, "get /api/v1/streams/{name}": Stream{},
		"post /api/v1/streams": Added{}, "post /api/v1/probe": Found{},
	}, map[string]any{"post /api/v1/probe": Camera{}, "post /api/v1/streams": NewStream{}}
}

// The document's schemas are those of the types, field by field: none is missing, and none is there that is not sent.
func TestOpenAPIHasTheTypes(t *testing.T) {
	doc := described(t)
	answers, requests := bodies()
	seen := map[string]bool{}
	for operation, methods := range doc["paths"].(map[string]any) {
		for method := range methods.(map[string]any) {
			name := method + " " + operation
			for code := range at(doc, methods, method, "responses").(map[string]any) {
				content, _ := at(doc, methods, method, "responses", code, "content").(map[string]any)
				for kind := range content {
					schema := at(doc, content, kind, "schema")
					v, typed := answers[name]
					switch {
					case kind == problem.ContentType:
						checkSchema(t, doc, name+" "+code, problem.Problem{}, schema, seen)
					case typed:
						checkSchema(t, doc, name+" "+code, v, schema, seen)
					case kind == "application/json" && operation != "/api/v1/openapi.json":
						t.Errorf("%s: what is the type of its JSON?", name)
					}
					if code >= "4" && kind != problem.ContentType && operation != "/readyz" {
						t.Errorf("%s: %s is no problem", name, code)
					}
				}
			}
			if v, ok := requests[name]; ok {
				checkSchema(t, doc, name, v, at(doc, methods, method, "requestBody", "content", "application/json", "schema"), seen)
			}
		}
	}
	for name := range at(doc, doc, "components", "schemas").(map[string]any) {
		if !seen[name] {
			t.Errorf("the schema %s is of nothing that is sent", name)
		}
	}
}

// checkSchema compares a value's type with a schema.
func checkSchema(t *testing.T, doc map[string]any, where string, v, schema any, seen map[string]bool) {
	t.Helper()
	want, structs := schemaOf(reflect.TypeOf(v)), map[string]reflect.Type{}
	collect(reflect.TypeOf(v), structs)
	if !reflect.DeepEqual(bare(schema), want) {
		t.Errorf("%s: the schema is %v, the type %v", where, bare(schema), want)
	}
	for name, typ := range structs {
		if seen[name] {
			continue
		}
		seen[name] = true
		got, want := bare(at(doc, doc, "components", "schemas", name)), structSchema(typ)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the schema is\n%v\nthe type\n%v", name, got, want)
		}
	}
}

// schemaOf is the schema by which encoding/json writes a type. Structs are references.
func schemaOf(t reflect.Type) any {
	switch {
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[[]byte](), t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem())
	case t.Kind() == reflect.Struct:
		return map[string]any{"$ref": "#/components/schemas/" + t.Name()}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Float64:
		return map[string]any{"type": "number"}
	default: // other kinds are not sent; as a schema this fits none of them
		return map[string]any{"type": map[bool]string{true: "integer", false: t.Kind().String()}[t.ConvertibleTo(reflect.TypeFor[int64]())]}
	}
}

func structSchema(t reflect.Type) any {
	properties, required := map[string]any{}, []any{}
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		properties[name] = schemaOf(t.Field(i).Type)
		if option == "" {
			required = append(required, name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = sorted(required)
	}
	return schema
}

// collect finds the structs in a type, by name.
func collect(t reflect.Type, into map[string]reflect.Type) {
	switch {
	case t == reflect.TypeFor[time.Time]():
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
		collect(t.Elem(), into)
	case t.Kind() == reflect.Struct:
		into[t.Name()] = t
		for i := range t.NumField() {
			collect(t.Field(i).Type, into)
		}
	}
}

// bare is a schema without what says nothing about its form.
func bare(schema any) any {
	m, ok := schema.(map[string]any)
	if !ok {
		return schema
	}
	out := map[string]any{}
	for k, v := range m {
		switch k {
		case "description", "format", "enum", "contentEncoding":
		case "required":
			out[k] = sorted(v.([]any))
		case "properties":
			properties := map[string]any{}
			for name, p := range v.(map[string]any) {
				properties[name] = bare(p)
			}
			out[k] = properties
		default:
			out[k] = bare(v)
		}
	}
	return out
}

func sorted(list []any) []any {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	return list
}

// fakeCameras knows cameras by their URL.
type fakeCameras struct{}

func (fakeCameras) Probe(_ context.Context, c Camera) (Found, error) {
	switch c.URL {
	case "rtsp://away":
		return Found{}, Refusal{http.StatusBadGateway, "the camera is away"}
	case "rtsp://bug":
		return Found{}, errors.New("secret detail")
	}
	return Found{Video: FoundVideo{"h264", "640x360", 25, 8e5}, Preview: []byte("jpeg")}, nil
}

func (fakeCameras) Add(_ context.Context, n NewStream) error {
	if n.Name == "cam" {
		return Refusal{http.StatusConflict, "there is a stream cam"}
	}
	return nil
}

// What the server really answers is in the document: the status, the kind of body, and JSON of the right type.
func TestOpenAPIHasTheAnswers(t *testing.T) {
	doc := described(t)
	answers, _ := bodies()
	open := newServer(t, everything())
	cfg := everything()
	cfg.Auth = &users{list: map[string][]string{"viewer:right": {"status"}}}
	closed := newServer(t, cfg)
	const isJSON, isSDP = "Content-Type: application/json", "Content-Type: application/sdp"
	for _, c := range []struct {
		s            *Server
		method, path string
		pattern      string
		body         string
		headers      []string
		code         int
	}{
		{open, "GET", "/healthz", "/healthz", "", nil, 200},
		{open, "GET", "/readyz", "/readyz", "", nil, 200},
		{open, "GET", "/metrics", "/metrics", "", nil, 200},
		{open, "GET", "/api/v1/openapi.json", "/api/v1/openapi.json", "", nil, 200},
		{open, "GET", "/api/v1/openapi.json", "/api/v1/openapi.json", "", []string{"Host: evil.example"}, 421},
		{open, "GET", "/api/v1/status", "/api/v1/status", "", nil, 200},
		{closed, "GET", "/api/v1/status", "/api/v1/status", "", nil, 401},
		{closed, "GET", "/api/v1/streams/cam/snapshot.jpg", "/api/v1/streams/{name}/snapshot.jpg", "", []string{"Authorization: Bearer token-viewer"}, 403},
		{open, "GET", "/api/v1/streams", "/api/v1/streams", "", nil, 200},
		{open, "GET", "/api/v1/streams/garage", "/api/v1/streams/{name}", "", nil, 200},
		{open, "GET", "/api/v1/streams/none", "/api/v1/streams/{name}", "", nil, 404},
		{open, "GET", "/api/v1/streams/cam/snapshot.jpg", "/api/v1/streams/{name}/snapshot.jpg", "", nil, 200},
		{open, "GET", "/api/v1/streams/cam/snapshot.jpg?width=x", "/api/v1/streams/{name}/snapshot.jpg", "", nil, 400},
		{open, "POST", "/cam/whep", "/{name}/whep", "v=0", []string{isSDP}, 201},
		{open, "POST", "/none/whep", "/{name}/whep", "v=0", []string{isSDP}, 404},
		{open, "POST", "/cam/whip", "/{name}/whip", strings.Repeat("x", maxSDP+1), []string{isSDP}, 413},
		{open, "POST", "/cam/whip", "/{name}/whip", "v=0", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{open, "POST", "/api/v1/probe", "/api/v1/probe", `{"url":"rtsp://cam"}`, []string{isJSON}, 200},
		{open, "POST", "/api/v1/probe", "/api/v1/probe", `{"url":"rtsp://away"}`, []string{isJSON}, 502},
		{open, "POST", "/api/v1/probe", "/api/v1/probe", `{"url":"rtsp://bug"}`, []string{isJSON}, 500},
		{open, "POST", "/api/v1/probe", "/api/v1/probe", `{"URI":"rtsp://cam"}`, []string{isJSON}, 400},
		{open, "POST", "/api/v1/probe", "/api/v1/probe", `{} {}`, []string{isJSON}, 400},
		{open, "POST", "/api/v1/probe", "/api/v1/probe", `{"url":"` + strings.Repeat("x", maxJSON) + `"}`, []string{isJSON}, 413},
		{open, "POST", "/api/v1/probe", "/api/v1/probe", `{"url":"rtsp://cam"}`, []string{"Content-Type: text/plain"}, 415},
		{open, "POST", "/api/v1/probe", "/api/v1/probe", `{"url":"rtsp://cam"}`, nil, 415},
		{closed, "POST", "/api/v1/probe", "/api/v1/probe", `{"url":"rtsp://cam"}`, []string{isJSON}, 401},
		{open, "POST", "/api/v1/streams", "/api/v1/streams", `{"name":"yard","source":"rtsp://cam"}`, []string{isJSON}, 201},
		{open, "POST", "/api/v1/streams", "/api/v1/streams", `{"name":"cam","source":"rtsp://cam"}`, []string{isJSON}, 409},
		{open, "POST", "/api/v1/streams", "/api/v1/streams", `{"name":"yard"}`, []string{isJSON, "Origin: http://evil.example"}, 403},
		{open, "POST", "/api/v1/streams", "/api/v1/streams", `name=yard`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415},
	} {
		what := c.method + " " + c.path + " " + c.body[:min(len(c.body), 40)]
		w := send(c.s, request(c.method, c.path, c.body, c.headers...))
		if w.Code != c.code {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
			continue
		}
		operation := at(doc, doc, "paths", c.pattern, strings.ToLower(c.method))
		documented := at(doc, operation, "responses", fmt.Sprint(w.Code))
		if documented == nil {
			t.Errorf("%s: %d is not in the document", what, w.Code)
			continue
		}
		kind, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
		if content, _ := at(doc, documented, "content").(map[string]any); len(content) > 0 && content[kind] == nil && c.code != 201 { // of a fake
			t.Errorf("%s: %s is not in the document", what, kind)
		}
		if w.Code >= 400 {
			checkProblem(t, what, w)
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s tells %s", what, w.Body)
			}
		} else if v, ok := answers[strings.ToLower(c.method)+" "+c.pattern]; ok {
			strictly(t, what, w, v)
		}
	}
}

// strictly decodes an answer into the type of v.
func strictly(t *testing.T, what string, w *httptest.ResponseRecorder, v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(reflect.New(reflect.TypeOf(v)).Interface()); err != nil || strings.Contains(w.Body.String(), ": null") {
		t.Errorf("%s: %v\n%s", what, err, w.Body)
	}
}
