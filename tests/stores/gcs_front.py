"""HTTP front of fake-gcs-server, which adds what it lacks: writes by the XML API (the crate `object_store`
uses it), OAuth tokens, and downscoped tokens whose access boundary is enforced.

    gcs_front.py PORT BACKEND_PORT

Full access have the tokens of `POST /token`, and all self-signed JWTs, which are recognised by their three
parts. `POST /v1/token` exchanges such a token for a downscoped one. A request without a token is refused.
This is a test double: it verifies no signature.

Two things are missing: the storage class in responses to GET, and lifecycle rules of buckets.
"""

import hashlib
import http.client
import json
import re
import secrets
import sys
import threading
import time
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from access_boundary import AccessBoundary

TOKEN_SECONDS = 3600
BACKEND_TIMEOUT_SECONDS = 60
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
XML = [("Content-Type", "application/xml")]

# Paths of the JSON API; all others are of the XML API.
JSON_PATHS = ("/storage/v1", "/upload/", "/download/", "/batch/", "/b/")
JSON_OBJECT = re.compile(
    r"(?:/(?P<kind>upload|download))?(?:/storage/v1)?/b/(?P<bucket>[^/]+)/o(?:/(?P<name>[^/]+))?"
    r"(?:/(?:rewriteTo|copyTo)/b/(?P<to_bucket>[^/]+)/o/(?P<to_name>[^/]+))?/?"
)
BATCHED = re.compile(rb"(?m)^(GET|DELETE|PATCH|POST) (?:https?://[^/ ]+)?/storage/v1/b/([^/ ]+)/o/([^/? ]+)")
ANY_BATCHED = re.compile(rb"(?m)^(?:GET|HEAD|DELETE|PATCH|POST|PUT) ")
JSON_NAME = re.compile(rb'"name"\s*:\s*("(?:[^"\\]|\\.)*")')

# Headers that concern one connection, or only this front.
NOT_FORWARDED = ("host", "authorization", "connection", "transfer-encoding", "content-length")
NOT_RETURNED = ("transfer-encoding", "connection", "date", "server", "content-length")

Answer = namedtuple("Answer", "status body headers", defaults=(b"", ()))
Upload = namedtuple("Upload", "bucket name content_type parts")
# Operation (`get`, `list`, `create`, `delete`, `update`) on an object; for `list`, the name is the prefix.
Need = namedtuple("Need", "operation bucket name")


class Refusal(Exception):
    """Ends a request with this answer."""

    def __init__(self, answer):
        super().__init__(answer.status)
        self.answer = answer


class Front(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, backend_port):
        super().__init__(("127.0.0.1", port), Request)
        self.port, self.backend_port = port, backend_port
        # Tokens with the time at which they expire, and for downscoped ones with their boundary.
        self.tokens, self.downscoped = {}, {}
        # Multipart uploads of the XML API, and ids of the resumable uploads of the JSON API, by id.
        self.uploads, self.resumable = {}, set()
        # Held while a copy checks its condition and is made, which the backend does not do in one step.
        self.copying = threading.Lock()


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def respond(self):
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.body = self.read_body()
        try:
            answer = self.answer_for(url.path)
        except Refusal as refusal:
            answer = refusal.answer
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        # The answer to HEAD has the length of what GET would return.
        if self.command != "HEAD" or "content-length" not in {name.lower() for name, _ in answer.headers}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = respond

    def read_body(self):
        if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer_for(self, path):
        if self.command == "POST" and path == "/token":
            return self.issue_token()
        if self.command == "POST" and path == "/v1/token":
            return self.exchange_token()
        self.boundary = self.find_boundary()
        if path.startswith(JSON_PATHS):
            self.require_json_access(path)
            return self.forward_json()
        bucket, _, name = path.lstrip("/").partition("/")
        if not name:
            return self.list_xml(unquote(bucket))
        return self.object_xml(unquote(bucket), unquote(name))

    # --- Tokens -----------------------------------------------------------------

    def issue_token(self):
        token = secrets.token_urlsafe(24)
        self.server.tokens[token] = time.time() + TOKEN_SECONDS
        return json_answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS})

    def exchange_token(self):
        form = {name: values[0] for name, values in parse_qs(self.body.decode()).items()}
        subject, options = form.get("subject_token", ""), form.get("options", "")
        if form.get("grant_type") != TOKEN_EXCHANGE or not self.has_full_access(subject):
            return invalid_request("no token exchange, or no usable subject_token")
        try:
            # Some clients encode the options once more than the form.
            boundary = AccessBoundary(options if options.startswith("{") else unquote(options))
        except (KeyError, TypeError, ValueError) as error:
            return invalid_request(str(error))
        token = secrets.token_urlsafe(24)
        self.server.downscoped[token] = (time.time() + TOKEN_SECONDS, boundary)
        answer = {"access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}
        return json_answer(200, answer | {"expires_in": TOKEN_SECONDS})

    def has_full_access(self, token):
        return token.count(".") == 2 or self.server.tokens.get(token, 0) > time.time()

    def find_boundary(self):
        """Returns the boundary of the request's token; `None` if it has full access."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        token = token or self.query.get("access_token", "")
        if self.has_full_access(token):
            return None
        expires, boundary = self.server.downscoped.get(token, (0, None))
        if expires <= time.time():
            raise Refusal(Answer(401, xml_error("AuthenticationRequired"), XML))
        return boundary

    def require(self, *needs):
        for need in needs:
            if self.boundary is not None and not self.boundary.allows(*need):
                what = f"storage.objects.{need.operation} access to {need.bucket}/{need.name}"
                raise Refusal(forbidden(f"the token does not have {what}"))

    def write_needs(self, bucket, name):
        """As in the real store, replacing an object deletes it."""
        needs = [Need("create", bucket, name)]
        if self.exists(bucket, name):
            needs.append(Need("delete", bucket, name))
        return needs

    # --- Backend ----------------------------------------------------------------

    def backend(self, method, path, body=None, headers=None):
        port, host = self.server.backend_port, f"127.0.0.1:{self.server.port}"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BACKEND_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {"Host": host, **(headers or {})})
            response = connection.getresponse()
            # To HEAD there is no body whose length could be counted.
            dropped = tuple(name for name in NOT_RETURNED if method != "HEAD" or name != "content-length")
            kept = [(name, value) for name, value in response.getheaders() if name.lower() not in dropped]
            return Answer(response.status, response.read(), kept)
        finally:
            connection.close()

    def forwarded_headers(self):
        return {name: value for name, value in self.headers.items() if name.lower() not in NOT_FORWARDED}

    def exists(self, bucket, name):
        return self.backend("GET", json_path(bucket, name)).status == 200

    # --- JSON API ---------------------------------------------------------------

    def forward_json(self):
        answer = self.backend(self.command, self.path, self.body, self.forwarded_headers())
        for name, value in answer.headers:
            if name.lower() == "location":
                query = parse_qs(urlsplit(value).query)
                self.server.resumable.add((query.get("upload_id") or [value.rsplit("/", 1)[1]])[0])
        return answer

    def require_json_access(self, path):
        if self.boundary is None:
            return
        needs = self.json_needs(path)
        if needs is None:
            raise Refusal(forbidden("not within the access boundary of the token"))
        self.require(*needs)

    def json_needs(self, path):
        """Returns what a request needs; `None` if it is not understood."""
        match = JSON_OBJECT.fullmatch(path)
        if path.startswith("/batch/"):
            return self.batch_needs()
        if path.startswith("/upload/resumable/") or (match and "upload_id" in self.query):
            # Access was checked when the upload began.
            upload = self.query.get("upload_id") or path.rsplit("/", 1)[1]
            return [] if upload in self.server.resumable else None
        if not match:
            return None
        bucket, name, to_name = match["bucket"], unquote(match["name"] or ""), unquote(match["to_name"] or "")
        if match["kind"] == "upload":
            written = self.query.get("name") or self.name_in_body()
            return self.write_needs(bucket, written) if written else None
        if to_name:
            return [Need("get", bucket, name), *self.write_needs(match["to_bucket"], to_name)]
        if not name:
            return [Need("list", bucket, self.query.get("prefix", ""))] if self.command == "GET" else None
        operation = {"GET": "get", "HEAD": "get", "DELETE": "delete"}.get(self.command, "update")
        return [Need(operation, bucket, name)]

    def batch_needs(self):
        needs = []
        for method, bucket, name in BATCHED.findall(self.body):
            operation = {b"GET": "get", b"DELETE": "delete"}.get(method, "update")
            needs.append(Need(operation, bucket.decode(), unquote(name.decode())))
        return needs if len(needs) == len(ANY_BATCHED.findall(self.body)) else None

    def name_in_body(self):
        """Name in the metadata with which the body of an upload begins."""
        found = JSON_NAME.search(self.body.split(b"\r\n\r\n--")[0][:8192])
        return json.loads(found.group(1)) if found else None

    # --- XML API ----------------------------------------------------------------

    def list_xml(self, bucket):
        if self.command != "GET":
            return Answer(405)
        prefix, after = self.query.get("prefix", ""), self.query.get("start-after")
        self.require(Need("list", bucket, prefix))
        names = {"delimiter": "delimiter", "continuation-token": "pageToken", "max-keys": "maxResults"}
        query = {to: self.query[name] for name, to in names.items() if self.query.get(name)}
        query |= {"prefix": prefix} if prefix else {}
        query |= {"startOffset": after} if after else {}
        answer = self.backend("GET", f"/storage/v1/b/{quote(bucket, safe='')}/o?{urlencode(query)}")
        if answer.status != 200:
            return answer
        listed = json.loads(answer.body)
        # The offset of the JSON API is included, that of the XML API is not.
        items = [item for item in listed.get("items", []) if item["name"] != after]
        token = listed.get("nextPageToken")
        parts = ["<ListBucketResult>", element("Name", bucket)]
        parts.append(element("IsTruncated", "true" if token else "false"))
        for item in items:
            fields = [element("Key", item["name"]), element("Size", item["size"])]
            fields += [element("LastModified", item["updated"]), element("ETag", quoted(item["etag"]))]
            parts += ["<Contents>", *fields, "</Contents>"]
        for common in listed.get("prefixes", []):
            parts += ["<CommonPrefixes>", element("Prefix", common), "</CommonPrefixes>"]
        if token:
            parts.append(element("NextContinuationToken", token))
        return Answer(200, "".join([*parts, "</ListBucketResult>"]), XML)

    def object_xml(self, bucket, name):
        if self.command in ("GET", "HEAD"):
            self.require(Need("get", bucket, name))
            path = f"/{bucket}/{quote(name, safe='')}"
            return self.backend(self.command, path, None, self.forwarded_headers())
        if self.command == "POST" and "uploads" in self.query:
            return self.begin_upload(bucket, name)
        if "uploadId" in self.query:
            return self.continue_upload(bucket, name, self.query["uploadId"])
        if self.command == "DELETE":
            self.require(Need("delete", bucket, name))
            return self.backend("DELETE", json_path(bucket, name))
        if self.command == "PUT" and "x-goog-copy-source" in self.headers:
            return self.copy(bucket, name)
        if self.command == "PUT":
            self.require(*self.write_needs(bucket, name))
            return self.write(bucket, name, self.body, self.headers.get("Content-Type"))
        return Answer(405)

    def begin_upload(self, bucket, name):
        self.require(Need("create", bucket, name))
        upload = secrets.token_hex(12)
        self.server.uploads[upload] = Upload(bucket, name, self.headers.get("Content-Type"), {})
        fields = element("Bucket", bucket) + element("Key", name) + element("UploadId", upload)
        return Answer(200, f"<InitiateMultipartUploadResult>{fields}</InitiateMultipartUploadResult>", XML)

    def continue_upload(self, bucket, name, id):
        upload = self.server.uploads.get(id)
        if upload is None or (upload.bucket, upload.name) != (bucket, name):
            return Answer(404, xml_error("NoSuchUpload"), XML)
        if self.command == "DELETE":
            del self.server.uploads[id]
            return Answer(204)
        if self.command == "PUT":
            self.require(Need("create", bucket, name))
            upload.parts[int(self.query["partNumber"])] = self.body
            return Answer(200, b"", [("ETag", quoted(hashlib.md5(self.body).hexdigest()))])
        self.require(*self.write_needs(bucket, name))
        tags = ElementTree.fromstring(self.body).iter()
        numbers = [int(tag.text) for tag in tags if tag.tag.endswith("PartNumber")]
        content = b"".join(upload.parts[number] for number in numbers)
        written = self.write(bucket, name, content, upload.content_type)
        if written.status != 200:
            return written
        del self.server.uploads[id]
        tag = element("ETag", dict(written.headers)["ETag"])
        body = f"<CompleteMultipartUploadResult>{tag}</CompleteMultipartUploadResult>"
        return Answer(200, body, [*written.headers, *XML])

    def copy(self, bucket, name):
        from_bucket, _, from_name = unquote(self.headers["x-goog-copy-source"]).lstrip("/").partition("/")
        self.require(Need("get", from_bucket, from_name), *self.write_needs(bucket, name))
        with self.server.copying:
            if self.headers.get("x-goog-if-generation-match") == "0" and self.exists(bucket, name):
                return Answer(412, xml_error("PreconditionFailed"), XML)
            target = json_path(bucket, name).removeprefix("/storage/v1")
            answer = self.backend("POST", f"{json_path(from_bucket, from_name)}/rewriteTo{target}")
        if answer.status >= 300:
            return answer
        tag = quoted(json.loads(answer.body)["resource"]["etag"])
        return Answer(200, f"<CopyObjectResult>{element('ETag', tag)}</CopyObjectResult>", XML)

    def write(self, bucket, name, content, content_type):
        query = {"uploadType": "multipart"}
        if (generation := self.headers.get("x-goog-if-generation-match")) is not None:
            query["ifGenerationMatch"] = generation
        metadata = {"name": name, "contentType": content_type or "application/octet-stream"}
        if storage_class := self.headers.get("x-goog-storage-class"):
            metadata["storageClass"] = storage_class
        prefix = "x-goog-meta-"
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        if own := {name.removeprefix(prefix): value for name, value in headers if name.startswith(prefix)}:
            metadata["metadata"] = own
        mark = secrets.token_hex(16)
        begin = f"--{mark}\r\nContent-Type: application/json\r\n\r\n{json.dumps(metadata)}\r\n"
        begin += f"--{mark}\r\nContent-Type: {metadata['contentType']}\r\n\r\n"
        body = begin.encode() + content + f"\r\n--{mark}--\r\n".encode()
        path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o?{urlencode(query)}"
        answer = self.backend("POST", path, body, {"Content-Type": f"multipart/related; boundary={mark}"})
        if answer.status >= 300:
            return answer
        written = json.loads(answer.body)
        headers = [("ETag", quoted(written["etag"])), ("x-goog-generation", written["generation"])]
        return Answer(200, b"", headers)


def json_path(bucket, name):
    return f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}"


def json_answer(status, document):
    return Answer(status, json.dumps(document), [("Content-Type", "application/json")])


def forbidden(message):
    error = {"code": 403, "message": message, "errors": [{"reason": "forbidden", "message": message}]}
    return json_answer(403, {"error": error})


def invalid_request(message):
    return json_answer(400, {"error": "invalid_request", "error_description": message})


def element(name, text):
    return f"<{name}>{escape(text)}</{name}>"


def xml_error(code):
    return f"<Error>{element('Code', code)}</Error>"


def quoted(tag):
    return f'"{tag.strip(chr(34))}"'


if __name__ == "__main__":
    Front(int(sys.argv[1]), int(sys.argv[2])).serve_forever()
