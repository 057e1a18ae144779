"""A name server and a certificate authority, so that instances reach the lab's endpoints by AWS's own names and over
TLS, with nothing about the lab in their configuration."""

import datetime
import ipaddress
import socket
import ssl
import struct
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from . import host

SUFFIX = b"amazonaws.com"
_A, _AAAA = 1, 28
_NO_ERROR, _NAME_ERROR = 0, 3


def dns_answer(query, address):
    """The answer to one DNS question (RFC 1035): every name below amazonaws.com is at one address."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]])
        at += 1 + query[at]
    question = query[12:at + 5]
    kind = struct.unpack(">H", query[at + 1:at + 3])[0]
    ours = b".".join(labels).lower().endswith(SUFFIX)
    has_address = ours and kind == _A
    flags = 0x8580 | (_NO_ERROR if ours else _NAME_ERROR)
    header = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if has_address else 0, 0, 0)
    record = b"\xc0\x0c" + struct.pack(">HHIH", _A, 1, 5, 4) + socket.inet_aton(address) if has_address else b""
    return header + question + record


class NameServer:
    def __init__(self, netns, address):
        self.address = address
        self._socket = host.in_network(netns, socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self.silent = False  # a test may let names fail for a while
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                query, client = self._socket.recvfrom(1024)
            except OSError:
                return  # closed
            if not self.silent:
                try:
                    self._socket.sendto(dns_answer(query, self.address), client)
                except (IndexError, OSError):
                    continue  # not a question

    def close(self):
        self._socket.close()


class Authority:
    """A certificate authority of one run, and a certificate for the endpoints of some regions."""

    def __init__(self, folder, regions, addresses):
        self.certificate = folder / "ca.pem"
        self._chain = folder / "endpoint.pem"
        key, name = ec.generate_private_key(ec.SECP256R1()), self._name("muster lab CA")
        ca = self._builder(name, name, key).add_extension(x509.BasicConstraints(True, 0), True).sign(
            key, hashes.SHA256())
        own_key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(pattern.format(region)) for region in regions
                 for pattern in ("*.{}.amazonaws.com", "*.s3.{}.amazonaws.com")]
        names += [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
        own = self._builder(self._name("endpoint"), name, own_key).add_extension(
            x509.SubjectAlternativeName(names), False).sign(key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        self.certificate.write_bytes(ca.public_bytes(pem))
        self._chain.write_bytes(own.public_bytes(pem) + own_key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.hash = host.run("openssl", "x509", "-noout", "-hash", "-in", self.certificate).stdout.strip()

    @staticmethod
    def _name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    @staticmethod
    def _builder(subject, issuer, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        return x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), now - 400 * day,
                                       now + 400 * day)

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._chain)
        return context
