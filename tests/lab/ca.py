"""The lab's certificate authority, and certificates with a chosen flaw."""
import os
import ssl
import subprocess
import threading


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(words)}: {done.stderr}")


class Authority:
    """A root in `folder`. `pem` is what a policy's upstream_ca names."""

    def __init__(self, folder, name="Lab Root"):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.key = os.path.join(folder, "ca.key")
        self.pem = os.path.join(folder, "ca.pem")
        self.contexts = {}
        self.lock = threading.Lock()
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.pem,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def context(self, name, flaw=None):
        """A server context for `name`. Flaws: expired, not-yet, wrong-host, self-signed, untrusted,
        constrained (the intermediate may only sign other names), no-san (the name only in CN)."""
        with self.lock:
            made = self.contexts.get((name, flaw))
            if made is None:
                made = self.contexts[(name, flaw)] = self._make(name, flaw)
            return made

    def pair(self, name):
        """The files of `name`'s certificate and key, for servers of other makes."""
        self.context(name)
        stem = os.path.join(self.folder, str(list(self.contexts).index((name, None))))
        return stem + ".pem", stem + ".key"

    def _make(self, name, flaw):
        stem = os.path.join(self.folder, f"{len(self.contexts)}")
        key, request, chain, extra = stem + ".key", stem + ".csr", stem + ".pem", stem + ".ext"
        subject = "wrong.invalid" if flaw == "wrong-host" else name
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={subject[:60]}", "-keyout", key, "-out", request)
        with open(extra, "w") as file:
            file.write("basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
            if flaw != "no-san":
                kind = "IP" if subject.replace(".", "").isdigit() or ":" in subject else "DNS"
                file.write(f"subjectAltName={kind}:{subject}\n")
        signer, signer_key, tail = self.pem, self.key, ""
        if flaw == "untrusted":
            other = Authority(stem + ".other", "Nobody's Root")
            signer, signer_key = other.pem, other.key
        if flaw == "constrained":
            signer, signer_key = self._intermediate(stem)
            tail = open(signer).read()
        if flaw == "self-signed":
            openssl("x509", "-req", "-in", request, "-signkey", key, "-days", "30", "-extfile", extra, "-out", chain)
        elif flaw in ("expired", "not-yet"):
            start, end = (("20200101000000Z", "20200201000000Z") if flaw == "expired"
                          else ("20400101000000Z", "20410101000000Z"))
            self._sign_between(stem, request, chain, extra, start, end)
        else:
            openssl("x509", "-req", "-in", request, "-CA", signer, "-CAkey", signer_key, "-CAcreateserial",
                    "-CAserial", stem + ".srl", "-days", "20", "-extfile", extra, "-out", chain)
        if tail:
            with open(chain, "a") as file:
                file.write(tail)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _intermediate(self, stem):
        key, request, pem, extra = stem + ".i.key", stem + ".i.csr", stem + ".i.pem", stem + ".i.ext"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=Constrained Intermediate", "-keyout", key, "-out", request)
        with open(extra, "w") as file:
            file.write("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
                       "nameConstraints=critical,permitted;DNS:only-this.invalid\n")
        openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial",
                "-CAserial", stem + ".i.srl", "-days", "20", "-extfile", extra, "-out", pem)
        return pem, key

    def _sign_between(self, stem, request, chain, extra, start, end):
        """`openssl x509` cannot set both dates before 3.4; `openssl ca` can."""
        base = stem + ".db"
        os.makedirs(base)
        open(base + "/index.txt", "w").close()
        with open(base + "/ca.cnf", "w") as file:
            file.write(f"[ca]\ndefault_ca=d\n[d]\ndir={base}\ndatabase={base}/index.txt\nnew_certs_dir={base}\n"
                       "rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-notext", "-config", base + "/ca.cnf", "-cert", self.pem, "-keyfile", self.key,
                "-startdate", start, "-enddate", end, "-extfile", extra, "-in", request, "-out", chain)
