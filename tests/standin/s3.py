"""A stand-in for a bucket of Amazon S3, for requests signed with one key pair."""
import hashlib
import urllib.parse

from standin import sigv4

LISTING = ('<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
           "<Name>{bucket}</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys>"
           "<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")
ENTRY = ("<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{tag}&quot;</ETag>"
         "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>")

STARTED = ('<?xml version="1.0" encoding="UTF-8"?>\n<InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
           "<Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>one</UploadId></InitiateMultipartUploadResult>")
FINISHED = ('<?xml version="1.0" encoding="UTF-8"?>\n<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            '<Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>"all"</ETag></CompleteMultipartUploadResult>')


class Bucket:
    def __init__(self, name, key_id, secret, region):
        self.name, self.key_id, self.secret, self.region = name, key_id, secret, region
        self.objects = {}  # key: bytes
        self.parts = {}    # key: {number: bytes}, of uploads that have not ended

    def __call__(self, request):
        wrong = sigv4.wrong(request, self.key_id, self.secret, self.region, "s3")
        if wrong:
            return request.text(wrong + "\n", 403)
        path, _, query = request.path.partition("?")
        key = urllib.parse.unquote(path)[1:]
        if not request.host.startswith(self.name + "."):
            key = key.removeprefix(self.name + "/")
        if request.method == "GET" and "list-type=2" in query:
            return self.list(request, dict(urllib.parse.parse_qsl(query)).get("prefix", ""))
        words = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if request.method == "POST" and "uploads" in words:  # in parts: the beginning, a part, the end
            self.parts[key] = {}
            return request.raw(200, STARTED.format(bucket=self.name, key=key).encode(), "application/xml")
        if request.method == "PUT" and "partNumber" in words:
            self.parts[key][int(words["partNumber"])] = request.body
            return request.raw(200, b"", headers=[("ETag", f'"{tag(request.body)}"')])
        if request.method == "POST" and "uploadId" in words:
            self.objects[key] = b"".join(body for _, body in sorted(self.parts.pop(key).items()))
            return request.raw(200, FINISHED.format(bucket=self.name, key=key).encode(), "application/xml")
        if request.method == "PUT" and not query.replace("x-id=PutObject", ""):
            self.objects[key] = request.body
            return request.raw(200, b"", headers=[("ETag", f'"{tag(request.body)}"')])
        if request.method in ("GET", "HEAD") and key in self.objects:
            body = self.objects[key]
            whole, headers = len(body), [("ETag", f'"{tag(body)}"'), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")]
            first, dash, last = request.headers.get("Range", "").removeprefix("bytes=").partition("-")
            if dash:
                body = body[int(first):int(last or whole) + 1]
                headers.append(("Content-Range", f"bytes {first}-{int(first) + len(body) - 1}/{whole}"))
            return request.raw(206 if dash else 200, body, headers=headers)
        request.raw(404, b"", "application/xml")

    def list(self, request, prefix):
        entries = [ENTRY.format(key=key, tag=tag(body), size=len(body))
                   for key, body in sorted(self.objects.items()) if key.startswith(prefix)]
        text = LISTING.format(bucket=self.name, prefix=prefix, count=len(entries), contents="".join(entries))
        request.raw(200, text.encode(), "application/xml")


def tag(body):
    return hashlib.md5(body).hexdigest()
