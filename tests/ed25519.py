"""Ed25519 by the book (RFC 8032, 5.1), so that the tests do not check the daemon with its own signatures. Slow, not secret-safe."""

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def _add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e = (y1 + x1) * (y2 + x2) - (y1 - x1) * (y2 - x2)
    f, g = 2 * (z1 * z2 - D * t1 * t2), 2 * (z1 * z2 + D * t1 * t2)
    h = (y1 + x1) * (y2 + x2) + (y1 - x1) * (y2 - x2)
    e, f, g, h = e % P, f % P, g % P, h % P
    return e * f % P, g * h % P, f * g % P, e * h % P


def _multiply(scalar: int, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point, scalar = _add(point, point), scalar >> 1
    return result


def _base():
    y = 4 * pow(5, -1, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 else x
    return x, y, 1, x * y % P


BASE = _base()


def _compress(point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return ((y * inverse % P) | ((x * inverse % P & 1) << 255)).to_bytes(32, "little")


def _expand(secret: bytes) -> tuple[int, bytes]:
    hashed = hashlib.sha512(secret).digest()
    return int.from_bytes(hashed[:32], "little") & ((1 << 254) - 8) | (1 << 254), hashed[32:]


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ORDER


def public(secret: bytes) -> bytes:
    return _compress(_multiply(_expand(secret)[0], BASE))


def sign(secret: bytes, message: bytes) -> bytes:
    scalar, prefix = _expand(secret)
    key = _compress(_multiply(scalar, BASE))
    r = _number(prefix + message)
    point = _compress(_multiply(r, BASE))
    return point + ((r + _number(point + key + message) * scalar) % ORDER).to_bytes(32, "little")
