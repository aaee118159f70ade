"""AWS signatures: the session signs with a key pair of its own, what arrives is signed with the real one."""
import base64
import os
import shutil

from standin import sigv4
from support import Case, case

HOST = "s3.eu-central-1.amazonaws.com"
SQS = "sqs.eu-central-1.amazonaws.com"
KEY_ID, SECRET, SESSION = "AKIAREALREALREAL0001", "real/secret+key/9d31c2aa71e04b5f", "real-session-token/=="


class SigV4(Case):
    def setUp(self):
        super().setUp()
        self.session = None
        self.lab.web.site(HOST, self.serve)
        self.lab.web.site(SQS, self.serve)
        shutil.copy(os.path.join(case.ROOT, "tests/standin/sigv4.py"), self.work)

    def serve(self, request):
        service = "s3" if request.host == HOST else "sqs"
        wrong = sigv4.wrong(request, KEY_ID, SECRET, "eu-central-1", service, self.session)
        if wrong:
            request.text(wrong, 403)
        elif request.path.startswith("/echo"):
            # An answer that knows all of it, in every dress.
            raw = SECRET.encode()
            forms = [SECRET, raw.hex(), raw.hex().upper(), KEY_ID] + [
                base64.b64encode(b"x" * n + raw + b"tail").decode() for n in range(3)]
            request.text("\n".join(forms))
        else:
            request.text(f"right {request.method} {len(request.body)}")

    def policy(self, more="", service="s3", host=HOST):  # noqa: A003 (the Case's own is used below)
        text = ('[credential.aws]\nsource = "env:AWS_PAIR"\n'
                'expose = { env = "AWS_ACCESS_KEY_ID", secret_env = "AWS_SECRET_ACCESS_KEY" }\n'
                f'carry = {{ sigv4 = {{ region = "eu-central-1", service = "{service}" }} }}\n')
        grant = self.grant(host, method=("GET", "PUT", "POST"), credential="aws",
                           more=more or 'headers = ["x-amz-meta-*"]')
        return super().policy(text + grant)

    def ask(self, *calls, policy=None, pair=f"{KEY_ID}:{SECRET}"):
        """One session, one call each; what each printed."""
        script = "".join(f"/usr/bin/python3 sigv4.py {call}; echo ----\n" for call in calls)
        result = self.inside(["/bin/sh", "-c", script], policy or self.policy(), env={"AWS_PAIR": pair})
        answers = result.out.split("----\n")[:-1]
        self.assertEqual(len(answers), len(calls), result)
        return [answer.strip() for answer in answers]

    def test_what_is_signed_inside_arrives_signed_anew(self):
        answers = self.ask(f"GET {HOST} /bucket/key", f"PUT {HOST} '/bucket/a%20b~c' body=hello header.content-type=text/plain",
                           f"GET {HOST} '/bucket?list-type=2&prefix=a%2Fb&delimiter'",
                           f"PUT {HOST} /bucket/meta body=x header.x-amz-meta-one='  two   words '",
                           f"PUT {HOST} /bucket/unsigned body=hello payload=UNSIGNED-PAYLOAD",
                           f"PUT {HOST} /bucket/chunked body=hello chunked=1")
        self.assertEqual(answers, ["200\nright GET 0", "200\nright PUT 5", "200\nright GET 0", "200\nright PUT 1",
                                   "200\nright PUT 5", "200\nright PUT 5"])
        for request in self.lab.web.received():
            self.assertNotIn("AKIABULKHEAD", str(request.header_list))

    def test_with_a_session_token(self):
        self.session = SESSION
        self.assertEqual(self.ask(f"GET {HOST} /bucket/key", pair=f"{KEY_ID}:{SECRET}:{SESSION}"), ["200\nright GET 0"])

    def test_other_services_do_not_send_the_hash(self):
        policy = self.policy(service="sqs", host=SQS)
        answers = self.ask(f"POST {SQS} / service=sqs payload=none body=Action=ListQueues",
                           f"GET {SQS} '/a%20b?Action=ListQueues' service=sqs payload=none",
                           f"POST {SQS} / service=sqs payload=none body=Action=ListQueues tamper=Action=DeleteQueue",
                           policy=policy)
        self.assertEqual(answers[:2], ["200\nright POST 17", "200\nright GET 0"])
        self.assertTrue(answers[2].startswith("403\n"), answers)
        self.assertEqual(len(self.lab.web.received(SQS)), 2)

    def test_refused_and_nothing_arrives(self):
        calls = [f"GET {HOST} /x secret=guessed", f"GET {HOST} /x key=AKIAATTACKERATTACKER secret=theirs",
                 f"GET {HOST} /x region=us-east-1", f"GET {HOST} /x service=sts",
                 f"PUT {HOST} /x body=hello tamper=jello", f"PUT {HOST} /x body=hello tamper=jello chunked=1",
                 f"PUT {HOST} /x body=hello payload=STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                 f"GET {HOST} /x header.x-amz-security-token=theirs",
                 f"GET {HOST} '/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA&X-Amz-Signature=00'",
                 f"GET {HOST} /x header.x-amz-acl=public-read"]
        answers = self.ask(*calls)
        for call, answer in zip(calls, answers):
            self.assertTrue(answer.startswith("403\n"), f"{call}: {answer}")
        self.assertIn("the body is not the one that was signed", answers[4])
        self.assertIn("signed with another key than this session's", answers[1])
        self.assertIn("set AWS_REGION", answers[2])
        self.assertIn("chunkedEncodingEnabled(false)", answers[6])
        self.assertIn("presigned", answers[8])
        self.assertEqual(self.lab.web.received(), [], "an upload whose body is another one never ends")

    def test_what_comes_back_holds_neither_half(self):
        (answer,) = self.ask(f"GET {HOST} /echo")
        self.assertTrue(answer.startswith("200\n"), answer)
        lines = answer.split("\n")[1:]
        self.assertEqual(len(lines), 7)
        raw = SECRET.encode()
        for secret in (SECRET, raw.hex(), raw.hex().upper(), KEY_ID):
            self.assertNotIn(secret, answer)
        for n, line in enumerate(lines[4:]):
            self.assertIn("*" * 38, line)
            decoded = base64.b64decode(line.replace("*", "A"))
            self.assertNotIn(raw[2:-2], decoded)
        self.assertTrue(all("*" in line for line in lines), lines)
