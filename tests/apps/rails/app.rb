# Rails with Devise and a table of sessions as activerecord-session_store 2 has it. That gem is not among Debian's packages,
# so the store here takes its steps: a session is found by the digest of its id, and one that is gone when it is saved gets
# a new id. SERIALIZER is "marshal" or "json", in the shape of the gem's.

require "base64"
require "logger"
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "devise"
require "webrick"
require "rack/handler/webrick"

$stdout.sync = true
ENV["RAILS_ENV"] = "production"

class SavedSession < ActiveRecord::Base
  self.table_name = "sessions"

  def self.pack(values)
    return JSON.generate("value" => values) if ENV["SERIALIZER"] == "json"

    Base64.encode64(Marshal.dump(values))
  end

  def self.unpack(data)
    return JSON.parse(data)["value"] if ENV["SERIALIZER"] == "json"

    Marshal.load(Base64.decode64(data))
  end
end

class TableStore < ActionDispatch::Session::AbstractSecureStore
  def find_session(_request, id)
    saved = id && SavedSession.find_by(session_id: id.private_id)
    saved ? [id, SavedSession.unpack(saved.data)] : [generate_sid, {}]
  end

  def write_session(_request, id, values, _options)
    unless (saved = SavedSession.find_by(session_id: id.private_id))
      id = generate_sid
      saved = SavedSession.new(session_id: id.private_id)
    end
    saved.update!(data: SavedSession.pack(values), updated_at: Time.now)
    id
  end

  def delete_session(_request, id, options)
    SavedSession.where(session_id: id.private_id).delete_all
    generate_sid unless options[:drop]
  end
end

class Site < Rails::Application
  config.root = ENV["APP_DIRECTORY"]
  paths["config/routes.rb"] = File.join(__dir__, "routes.rb")
  config.eager_load = false
  config.secret_key_base = "s" * 64
  config.hosts.clear
  config.logger = Logger.new($stderr)
  config.log_level = :error
  config.session_store TableStore, key: "_site_session"
end

ENV["DATABASE_URL"] = "postgresql:///#{ENV["PGDATABASE"]}"
Devise.setup do |config|
  require "devise/orm/active_record"
  config.stretches = 4
  config.authentication_keys = [:name]
  config.secret_key = "k" * 64
end
class User < ActiveRecord::Base
  devise :database_authenticatable, authentication_keys: [:name]

  def active_for_authentication? = super && is_active
end

class PagesController < ActionController::Base
  def sign_up
    User.create!(name: params[:username], password: params[:password])
    render plain: "welcome"
  end

  def log_in
    user = User.find_by(name: params[:username])
    return render(plain: "who are you?", status: 401) unless user&.active_for_authentication? && user.valid_password?(params[:password])

    sign_in(user)
    render plain: user.name
  end

  def account
    current_user ? render(plain: current_user.name) : render(plain: "who are you?", status: 401)
  end

  # As Devise's own page does: the session is that of the new password, under its old id.
  def change_password
    user = current_user
    User.transaction do
      kept = request.session.id.private_id
      User.connection.exec_query("select set_config('session_reaper.keep_session', $1, true)", "keep", [[nil, kept]]) if kept
      user.update!(password: params[:password])
    end
    bypass_sign_in(user)
    render plain: "changed"
  end

  def word = render(plain: session[:word].to_s)

  def note
    session[:word] = params[:word]
    render plain: "noted"
  end

  # A request that is in flight until the gate opens, and writes to its session then.
  def note_slowly
    session[:word]
    ActiveRecord::Base.connection_pool.release_connection
    puts "holding"
    sleep 0.02 until File.exist?(ENV["GATE"])
    note
  end
end

Site.initialize!

ActiveRecord::Schema.verbose = false
unless ActiveRecord::Base.connection.table_exists?("users")
  ActiveRecord::Schema.define do
    create_table(:users) do |table|
      table.string :name, null: false, index: { unique: true }
      table.string :encrypted_password, null: false
      table.boolean :is_active, null: false, default: true
    end
    create_table(:sessions) do |table|
      table.string :session_id, null: false, index: { unique: true }
      table.text :data
      table.timestamps
      table.index :updated_at
    end
  end
end

server = WEBrick::HTTPServer.new(Port: 0, BindAddress: "127.0.0.1", Logger: WEBrick::Log.new($stderr, WEBrick::Log::ERROR), AccessLog: [])
server.mount("/", Rack::Handler::WEBrick, Site)
trap("TERM") { server.shutdown }
puts "listening on #{server.listeners.first.addr[1]}"
server.start
