<?php

/**
 * Symfony with its PdoSessionHandler and two firewalls, as its documentation sets them up. IDS says what the user's id is:
 * "int", "string" and "object" (a UUID), and "named" or "listed", what a class with __serialize() makes of itself.
 */

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Bundle\SecurityBundle\SecurityBundle;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\Session\Storage\Handler\PdoSessionHandler;
use Symfony\Component\HttpKernel\Kernel;
use Symfony\Component\PasswordHasher\Hasher\UserPasswordHasherInterface;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;
use Symfony\Component\Security\Core\Authentication\Token\Storage\TokenStorageInterface;
use Symfony\Component\Security\Core\Authentication\Token\TokenInterface;
use Symfony\Component\Security\Core\Exception\AuthenticationException;
use Symfony\Component\Security\Core\Exception\UserNotFoundException;
use Symfony\Component\Security\Core\User\PasswordAuthenticatedUserInterface;
use Symfony\Component\Security\Core\User\UserInterface;
use Symfony\Component\Security\Core\User\UserProviderInterface;
use Symfony\Component\Security\Http\Authentication\AuthenticationFailureHandlerInterface;
use Symfony\Component\Security\Http\Authentication\AuthenticationSuccessHandlerInterface;
use Symfony\Component\Uid\Uuid;

error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
ini_set('display_errors', 'stderr');
defined('STDERR') || define('STDERR', fopen('php://stderr', 'w'));
require_once 'Symfony/Bundle/FrameworkBundle/autoload.php';
require_once 'Symfony/Bundle/SecurityBundle/autoload.php';
require_once 'Symfony/Component/Uid/autoload.php';

/** libpq's variables say where. */
function connect(): PDO
{
    return new PDO('pgsql:', null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

class User implements UserInterface, PasswordAuthenticatedUserInterface
{
    protected $id;
    private $name;
    private $password;

    public function __construct($id, string $name, string $password)
    {
        [$this->id, $this->name, $this->password] = [$id, $name, $password];
    }

    public function getId() { return $this->id; }
    public function getRoles(): array { return ['ROLE_USER']; }
    public function getPassword(): ?string { return $this->password; }
    public function setPassword(string $password): void { $this->password = $password; }
    public function getSalt(): ?string { return null; }
    public function eraseCredentials(): void {}
    public function getUsername(): string { return $this->name; }
    public function getUserIdentifier(): string { return $this->name; }
    protected function state(): array { return ['id' => $this->id, 'name' => $this->name, 'password' => $this->password]; }
    protected function restore(array $state): void
    {
        [$this->id, $this->name, $this->password] = array_values($state);
    }
}

class NamedUser extends User
{
    public function __serialize(): array { return $this->state(); }
    public function __unserialize(array $state): void { $this->restore($state); }
}

class ListedUser extends User
{
    public function __serialize(): array { return array_values($this->state()); }
    public function __unserialize(array $state): void { $this->restore($state); }
}

class Users implements UserProviderInterface
{
    public function loadUserByIdentifier(string $name): UserInterface
    {
        $found = connect()->prepare('select id, name, password_hash from members where name = ? and is_active');
        $found->execute([$name]);
        if (!($row = $found->fetch(PDO::FETCH_NUM))) {
            throw new UserNotFoundException();
        }
        switch (getenv('IDS')) {
            case 'int': return new User((int) $row[0], $row[1], $row[2]);
            case 'object': return new User(Uuid::fromString($row[0]), $row[1], $row[2]);
            case 'named': return new NamedUser(...$row);
            case 'listed': return new ListedUser(...$row);
            default: return new User(...$row);
        }
    }

    public function loadUserByUsername(string $name): UserInterface { return $this->loadUserByIdentifier($name); }
    public function refreshUser(UserInterface $user): UserInterface { return $this->loadUserByIdentifier($user->getUserIdentifier()); }
    public function supportsClass(string $class): bool { return is_a($class, User::class, true); }
}

class Answers implements AuthenticationSuccessHandlerInterface, AuthenticationFailureHandlerInterface
{
    public function onAuthenticationSuccess(Request $request, TokenInterface $token): Response
    {
        return new Response($token->getUserIdentifier());
    }

    public function onAuthenticationFailure(Request $request, AuthenticationException $error): Response
    {
        return new Response('who are you?', 401);
    }
}

class Pages
{
    private $tokens;
    private $hasher;

    public function __construct(TokenStorageInterface $tokens, UserPasswordHasherInterface $hasher)
    {
        [$this->tokens, $this->hasher] = [$tokens, $hasher];
    }

    private function user(): ?User
    {
        $token = $this->tokens->getToken();
        return $token && $token->getUser() instanceof User ? $token->getUser() : null;
    }

    public function signUp(Request $request): Response
    {
        $pdo = connect();
        $type = getenv('IDS') === 'int' ? 'bigint generated always as identity' : 'uuid default gen_random_uuid()';
        $pdo->exec("create table if not exists members (id $type primary key, name text unique, password_hash text not null, is_active boolean not null default true)");
        if (!$pdo->query("select to_regclass('sessions')")->fetchColumn()) {
            (new PdoSessionHandler($pdo))->createTable();
        }
        $hash = $this->hasher->hashPassword(new User(0, '', ''), $request->request->get('password'));
        $pdo->prepare('insert into members (name, password_hash) values (?, ?)')->execute([$request->request->get('username'), $hash]);
        return new Response('welcome');
    }

    public function account(): Response
    {
        return ($user = $this->user()) ? new Response($user->getUserIdentifier()) : new Response('who are you?', 401);
    }

    private function change(Request $request, PDO $pdo): void
    {
        $user = $this->user();
        $user->setPassword($this->hasher->hashPassword($user, $request->request->get('password')));
        $pdo->prepare('update members set password_hash = ? where name = ?')->execute([$user->getPassword(), $user->getUserIdentifier()]);
    }

    /** The session gets a new id. */
    public function changePassword(Request $request): Response
    {
        $this->change($request, connect());
        $request->getSession()->migrate(true);
        return new Response('changed');
    }

    /** The session goes on under its id, and the app says which one stays. */
    public function changePasswordAndKeep(Request $request): Response
    {
        $pdo = connect();
        $pdo->beginTransaction();
        $pdo->prepare("select set_config('session_reaper.keep_session', ?, true)")->execute([$request->getSession()->getId()]);
        $this->change($request, $pdo);
        $pdo->commit();
        return new Response('changed');
    }

    public function word(Request $request): Response
    {
        return new Response($request->getSession()->get('word', ''));
    }

    public function note(Request $request): Response
    {
        $request->getSession()->set('word', $request->request->get('word'));
        return new Response('noted');
    }

    /** A request that is in flight until the gate opens, and writes to its session then. */
    public function noteSlowly(Request $request): Response
    {
        $request->getSession()->start();
        fwrite(STDERR, "holding\n");
        while (!file_exists(getenv('GATE'))) {
            usleep(20000);
            clearstatcache();
        }
        return $this->note($request);
    }
}

class AppKernel extends Kernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable { return [new FrameworkBundle(), new SecurityBundle()]; }
    public function getProjectDir(): string { return getenv('APP_DIRECTORY'); }
    public function getCacheDir(): string { return getenv('APP_DIRECTORY').'/cache'; }
    public function getLogDir(): string { return getenv('APP_DIRECTORY').'/log'; }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $services = $container->services();
        $services->set(PDO::class, PDO::class)->factory('connect');
        $services->set(PdoSessionHandler::class)->args([Symfony\Component\DependencyInjection\Loader\Configurator\service(PDO::class)]);
        $services->set(Users::class, Users::class)->set(Answers::class, Answers::class);
        $services->set(Pages::class, Pages::class)->autowire()->public();
        $container->extension('framework', [
            'secret' => 's3cret',
            'session' => [
                'handler_id' => PdoSessionHandler::class,
                'storage_factory_id' => 'session.storage.factory.native',
                'gc_maxlifetime' => 3600,
                // Only a purge takes expired sessions here.
                'gc_probability' => 0,
            ],
            'router' => ['utf8' => true],
            'php_errors' => ['log' => false],
        ]);
        $firewall = fn (string $path) => [
            'pattern' => $path,
            'lazy' => true,
            'provider' => 'users',
            'form_login' => [
                'check_path' => ($path === '^/' ? '' : '/admin').'/login',
                'username_parameter' => 'username',
                'password_parameter' => 'password',
                'success_handler' => Answers::class,
                'failure_handler' => Answers::class,
            ],
        ];
        $container->extension('security', [
            'enable_authenticator_manager' => true,
            'password_hashers' => [PasswordAuthenticatedUserInterface::class => ['algorithm' => 'bcrypt', 'cost' => 4]],
            'providers' => ['users' => ['id' => Users::class]],
            'firewalls' => ['admin' => $firewall('^/admin'), 'main' => $firewall('^/')],
        ]);
    }

    protected function configureRoutes(RoutingConfigurator $routes): void
    {
        $add = fn (string $method, string $path, string $page) => $routes->add("$method $path", $path)->controller([Pages::class, $page])->methods([$method]);
        $add('POST', '/sign-up', 'signUp');
        foreach (['', '/admin'] as $under) {
            $add('POST', "$under/login", 'account');
            $add('GET', "$under/account", 'account');
        }
        $add('POST', '/password', 'changePassword');
        $add('POST', '/password-and-keep', 'changePasswordAndKeep');
        $add('GET', '/word', 'word');
        $add('POST', '/word', 'note');
        $add('POST', '/slow-word', 'noteSlowly');
    }
}

$kernel = new AppKernel('prod', false);
$response = $kernel->handle($request = Request::createFromGlobals());
$response->send();
$kernel->terminate($request, $response);
