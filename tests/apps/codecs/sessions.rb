# Random sessions as Ruby's Marshal writes them, in the base64 of activerecord-session_store: ruby sessions.rb SEED COUNT
# A line is the data in base64 once more, and the user in base64, or "-" for nobody.

require "base64"
require "bigdecimal"
require "date"
require "set"

seed, count = ARGV.map(&:to_i)
R = Random.new(seed)

Point = Struct.new(:x, :y)
class Plain
  def initialize(value)
    @id = "not the user"
    @value = value
  end
end
class Words < Array; end
class Name < String; end
class Dumped
  def initialize(value) = @value = value
  def marshal_dump = [@value]
  def marshal_load(value) = @value = value
end
class Older
  def _dump(_level) = "older"
  def self._load(_text) = new
end
module Mixed; end

def pick(of) = of[R.rand(of.size)]

def text
  letters = Array.new(R.rand(7)) { pick(["a", "id", "\0", "é", ":", "warden.user.user.key", "\n"]) }.join
  pick([letters, letters.b, letters.encode("UTF-16LE"), letters.dup.force_encoding("US-ASCII"), "fixed".freeze])
end

def value(depth)
  deeper = depth + 1
  case R.rand(depth > 4 ? 8 : 22)
  when 0 then nil
  when 1 then pick([true, false])
  when 2 then R.rand(-70_000..70_000)
  when 3 then pick([2**30, 2**30 - 1, -(2**30), -(2**30) - 1, 2**62, -(2**80), 255, 256, -256, -257, 0, 122, 123, -123, -124])
  when 4 then pick([0.1, -0.0, Float::INFINITY, -Float::INFINITY, Float::NAN, 1e300])
  when 5, 6 then text
  when 7 then pick([:id, :"é", :shared, :user])
  when 8 then Point.new(value(deeper), value(deeper))
  when 9 then Plain.new(value(deeper))
  when 10 then Words.new([value(deeper)])
  when 11 then Name.new("name")
  when 12 then Dumped.new(value(deeper))
  when 13 then Older.new
  when 14 then pick([/a+/i, 1..3, "a"..."c", 3.to_r / 7, Complex(1, 2), String, Comparable])
  when 15 then pick([Time.at(R.rand(2**31)), Date.new(2026, 11, 29), BigDecimal("1.5"), Set.new([1, :id])])
  when 16 then Hash.new(value(deeper)).merge!("k" => value(deeper))
  when 17 then "extended".dup.extend(Mixed)
  when 18
    shared = Plain.new("shared")
    [shared, shared, "id", "id"]
  when 19 then Array.new(R.rand(4)) { value(deeper) }
  else some(deeper)
  end
end

def some(depth) = Array.new(R.rand(5)) { [pick([text, :"k#{R.rand(9)}", R.rand(9)]), value(depth)] }.to_h

# No integer that a column of PostgreSQL's has is larger.
def id = pick([R.rand(2**30), R.rand(2**62), 2**63 - 1 - R.rand(100), -R.rand(300), "user-#{R.rand(99)}", "é-#{R.rand(9)}"])

count.times do
  user = R.rand(5).zero? ? nil : id
  session = some(0).reject { |key, _| key == "warden.user.user.key" }
  session["warden.user.user.key"] = [[user], "$2a$04$abcdefghijklmnopqrstuu"] if user
  session.merge!(some(0).reject { |key, _| key == "warden.user.user.key" })
  data = Base64.encode64(Marshal.dump(session))
  puts "#{Base64.strict_encode64(data)} #{user ? Base64.strict_encode64(user.to_s) : "-"}"
end
