<?php

/** Laravel with its `database` session driver and its own guard, as laravel/laravel sets them up. */

use Illuminate\Contracts\Foundation\Application as Contract;
use Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse;
use Illuminate\Cookie\Middleware\EncryptCookies;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\Auth\User as Authenticatable;
use Illuminate\Foundation\Bootstrap;
use Illuminate\Foundation\Http\Kernel;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Illuminate\Routing\Middleware\SubstituteBindings;
use Illuminate\Session\Middleware\AuthenticateSession;
use Illuminate\Session\Middleware\StartSession;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Hash;
use Illuminate\Support\Facades\Schema;

// Debian's Laravel is older than its PHP, which says so at every call.
error_reporting(E_ALL & ~E_DEPRECATED);
ini_set('display_errors', 'stderr');
require_once 'Illuminate/autoload.php';

class User extends Authenticatable
{
    protected $guarded = [];
    public $timestamps = false;
}

class WebKernel extends Kernel
{
    protected $bootstrappers = [Bootstrap\RegisterFacades::class, Bootstrap\RegisterProviders::class, Bootstrap\BootProviders::class];
    protected $middlewareGroups = [
        'web' => [EncryptCookies::class, AddQueuedCookiesToResponse::class, StartSession::class, SubstituteBindings::class],
    ];
    protected $routeMiddleware = ['auth.session' => AuthenticateSession::class];
}

class Handler extends Illuminate\Foundation\Exceptions\Handler
{
    public function render($request, Throwable $error)
    {
        if ($error instanceof Illuminate\Auth\AuthenticationException) {
            return new Response('who are you?', 401);
        }
        error_log((string) $error);
        return new Response((string) $error, 500);
    }
}

function configuration(): array
{
    return [
        'app' => [
            'key' => 'base64:'.base64_encode(str_repeat('k', 32)),
            'cipher' => 'AES-256-CBC',
            'debug' => true,
            'env' => 'production',
            'aliases' => [],
            'providers' => [
                Illuminate\Auth\AuthServiceProvider::class,
                Illuminate\Bus\BusServiceProvider::class,
                Illuminate\Cookie\CookieServiceProvider::class,
                Illuminate\Database\DatabaseServiceProvider::class,
                Illuminate\Encryption\EncryptionServiceProvider::class,
                Illuminate\Filesystem\FilesystemServiceProvider::class,
                Illuminate\Hashing\HashServiceProvider::class,
                Illuminate\Session\SessionServiceProvider::class,
            ],
        ],
        'auth' => [
            'defaults' => ['guard' => 'web'],
            'guards' => ['web' => ['driver' => 'session', 'provider' => 'users']],
            'providers' => ['users' => ['driver' => 'eloquent', 'model' => User::class]],
        ],
        'database' => [
            'default' => 'pgsql',
            'connections' => ['pgsql' => [
                'driver' => 'pgsql',
                'host' => getenv('PGHOST'),
                'username' => getenv('PGUSER'),
                'database' => getenv('PGDATABASE'),
                'charset' => 'utf8',
            ]],
        ],
        'hashing' => ['driver' => 'bcrypt', 'bcrypt' => ['rounds' => 4]],
        'session' => [
            'driver' => 'database',
            'lifetime' => 60,
            'expire_on_close' => false,
            'encrypt' => false,
            'connection' => null,
            'table' => 'sessions',
            // Only a purge takes expired sessions here.
            'lottery' => [0, 100],
            'cookie' => 'laravel_session',
            'path' => '/',
            'domain' => null,
            'secure' => false,
            'http_only' => true,
            'same_site' => 'lax',
        ],
        'view' => ['paths' => []],
    ];
}

/** The tables as laravel/laravel and session:table make them. */
function make_tables(): void
{
    if (Schema::hasTable('users')) {
        return;
    }
    Schema::create('users', function (Blueprint $table) {
        $table->id();
        $table->string('name')->unique();
        $table->string('password');
        $table->boolean('is_active')->default(true);
        $table->rememberToken();
    });
    Schema::create('sessions', function (Blueprint $table) {
        $table->string('id')->primary();
        $table->foreignId('user_id')->nullable()->index();
        $table->string('ip_address', 45)->nullable();
        $table->text('user_agent')->nullable();
        $table->text('payload');
        $table->integer('last_activity')->index();
    });
}

function refuse()
{
    return new Response('who are you?', 401);
}

function routes($router): void
{
    $router->post('/sign-up', function (Request $request) {
        make_tables();
        User::create(['name' => $request->username, 'password' => Hash::make($request->password)]);
        return 'welcome';
    });
    $router->group(['middleware' => 'web'], function ($router) {
        $router->post('/login', function (Request $request) {
            $credentials = ['name' => $request->username, 'password' => $request->password, 'is_active' => true];
            if (!Auth::attempt($credentials, $request->boolean('remember'))) {
                return refuse();
            }
            $request->session()->regenerate();
            return Auth::user()->name;
        });
        $router->get('/account', fn () => Auth::check() ? Auth::user()->name : refuse());
        $router->get('/guarded-account', fn () => Auth::check() ? Auth::user()->name : refuse())->middleware('auth.session');
        // As Laravel's own starter kits change a password; the session gets a new id.
        $router->post('/password', function (Request $request) {
            Auth::user()->update(['password' => Hash::make($request->password)]);
            $request->session()->regenerate();
            return 'changed';
        });
        // The session goes on under its id, and the app says which one stays.
        $router->post('/password-and-keep', function (Request $request) {
            DB::transaction(function () use ($request) {
                DB::select("select set_config('session_reaper.keep_session', ?, true)", [$request->session()->getId()]);
                Auth::user()->update(['password' => Hash::make($request->password)]);
            });
            return 'changed';
        });
        $router->post('/others', function (Request $request) {
            Auth::logoutOtherDevices($request->password);
            $request->session()->regenerate();
            return 'logged out';
        });
        $router->get('/word', fn (Request $request) => $request->session()->get('word', ''));
        $router->post('/word', function (Request $request) {
            $request->session()->put('word', $request->word);
            return 'noted';
        });
        // A request that is in flight until the gate opens, and writes to its session then.
        $router->post('/slow-word', function (Request $request) {
            fwrite(STDERR, "holding\n");
            while (!file_exists(getenv('GATE'))) {
                usleep(20000);
                clearstatcache();
            }
            $request->session()->put('word', $request->word);
            return 'noted';
        });
    });
}

defined('STDERR') || define('STDERR', fopen('php://stderr', 'w'));
$base = getenv('APP_DIRECTORY');
is_dir("$base/bootstrap/cache") || @mkdir("$base/bootstrap/cache", 0777, true);
$app = new Application($base);
$app->instance('config', new Illuminate\Config\Repository(configuration()));
$app->singleton(Illuminate\Contracts\Http\Kernel::class, WebKernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, Handler::class);
$app->booted(fn () => routes($app['router']));
$kernel = $app->make(Illuminate\Contracts\Http\Kernel::class);
$response = $kernel->handle($request = Request::capture());
$response->send();
$kernel->terminate($request, $response);
