<?php

/**
 * Random sessions as PHP itself writes them: php sessions.php SEED COUNT php|php_binary|php_serialize|laravel
 * A line is the data in base64, and the user in base64, or "-" for nobody.
 */

error_reporting(E_ALL & ~E_DEPRECATED);
[, $seed, $count, $handler] = $argv;
mt_srand((int) $seed);

enum Suit: string { case Hearts = 'h'; case Spades = 's'; }

class Plain { public $id = 'not the user'; protected $b; private $c; public function __construct($b, $c) { [$this->b, $this->c] = [$b, $c]; } }

class Old implements Serializable
{
    private $kept;
    public function __construct($kept) { $this->kept = $kept; }
    public function serialize() { return serialize($this->kept); }
    public function unserialize($text) { $this->kept = unserialize($text); }
}

class Token
{
    private $user;
    private $rest;
    public function __construct($user, $rest) { [$this->user, $this->rest] = [$user, $rest]; }
    public function __serialize(): array { return [null, 'main', [$this->user, true, null, $this->rest, ['ROLE_USER']]]; }
}

class PublicUser { public $id; public function __construct($id) { $this->id = $id; } }
class ProtectedUser { protected $id; private $more; public function __construct($id) { $this->id = $id; $this->more = text(); } }
class PrivateUser { private $password = 'id'; private $id; public function __construct($id) { $this->id = $id; } }
class NamedUser extends PublicUser { public function __serialize(): array { return ['name' => text(), 'id' => $this->id, 'more' => value(2)]; } }

function pick(array $of) { return $of[mt_rand(0, count($of) - 1)]; }

function text(): string
{
    $text = '';
    for ($i = mt_rand(0, 6); $i > 0; --$i) {
        $text .= pick(['a', 'id', '|', ';', '"', '}', "\0", "\xff", 'é', '_sf2_attributes|', 's:1:"', '!', "\n"]);
    }
    return $text;
}

function value(int $depth)
{
    switch (mt_rand(0, $depth > 4 ? 7 : 15)) {
        case 0: return null;
        case 1: return (bool) mt_rand(0, 1);
        case 2: return mt_rand(-1000, 1000);
        case 3: return pick([PHP_INT_MAX, PHP_INT_MIN, -1, 0]);
        case 4: return pick([0.1, -0.0, INF, -INF, NAN, 1e300, 5e-324, M_PI]);
        case 5: case 6: return text();
        case 7: return pick(Suit::cases());
        case 8: return new Plain(value($depth + 1), value($depth + 1));
        case 9: return new Old(value($depth + 1));
        case 10: return new DateTimeImmutable('@'.mt_rand());
        case 11: return new ArrayObject([value($depth + 1)]);
        case 12:
            // The same value twice, and one by reference.
            $shared = new Plain(text(), null);
            $number = mt_rand();
            return [$shared, $shared, &$number, &$number];
        default: return some($depth + 1);
    }
}

function some(int $depth): array
{
    $values = [];
    for ($i = mt_rand(0, 4); $i > 0; --$i) {
        $values[mt_rand(0, 1) ? mt_rand(-3, 9) : 'k'.text()] = value($depth);
    }
    return $values;
}

function id()
{
    return pick([mt_rand(), -mt_rand(), PHP_INT_MAX, 'user-'.mt_rand(), sprintf('%08x-0000-4000-8000-%012x', mt_rand(), mt_rand()), 'é"; s:2:"id"']);
}

function attributes(string $key, $user): array
{
    $attributes = some(0);
    if ($user !== null) {
        $attributes[$key] = $user;
    }
    return $attributes + some(0);
}

function line(string $data, $id): void
{
    echo base64_encode($data), ' ', $id === null ? '-' : base64_encode((string) $id), "\n";
}

if ($handler !== 'laravel') {
    ini_set('session.serialize_handler', $handler);
    ini_set('session.use_cookies', '0');
    session_set_save_handler(new class implements SessionHandlerInterface {
        public function open($path, $name): bool { return true; }
        public function close(): bool { return true; }
        public function read($id): string { return ''; }
        public function write($id, $data): bool { return true; }
        public function destroy($id): bool { return true; }
        public function gc($lifetime): int { return 0; }
    }, false);
    session_start();
}
for ($i = 0; $i < $count; ++$i) {
    $id = mt_rand(0, 4) ? id() : null;
    if ($handler === 'laravel') {
        line(base64_encode(serialize(attributes('login_web_'.sha1('x'), $id))), $id);
        continue;
    }
    $class = pick(['PublicUser', 'ProtectedUser', 'PrivateUser', 'NamedUser']);
    $token = $id === null ? null : serialize(new Token(new $class($id), some(2)));
    $_SESSION = ['other' => value(0), '_sf2_attributes' => attributes('_security_main', $token), '_symfony_flashes' => some(1), '_sf2_meta' => ['u' => time(), 'c' => time(), 'l' => 0]];
    line(session_encode(), $id);
}
$_SESSION = [];
