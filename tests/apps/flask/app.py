"""Flask with Flask-Session on SQLAlchemy and Flask-Login, as their documentation sets them up."""

import os
import pathlib
import secrets
import time

from flask import Flask, g, request, session
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, text
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.serving import make_server

app = Flask(__name__)
db = SQLAlchemy()
app.config.update(
    SECRET_KEY=secrets.token_hex(),
    # libpq's variables say where.
    SQLALCHEMY_DATABASE_URI="postgresql+psycopg:///",
    SESSION_TYPE="sqlalchemy",
    SESSION_SQLALCHEMY=db,
    PERMANENT_SESSION_LIFETIME=3600,
)
db.init_app(app)
Session(app)
logins = LoginManager(app)


class User(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80), unique=True)
    password_hash = db.Column(db.String(256))


with app.app_context():
    db.create_all()


if os.environ.get("LINKS"):
    # Releases before 0.7 pickle their data, which nobody but Python reads. So the app says whose session it saves, in the
    # transaction that saves it.
    @event.listens_for(db.session, "after_flush")
    def link(transaction, _):
        saved = [row for row in {*transaction.new, *transaction.dirty} if row.__tablename__ == "sessions"]
        if "user" in g and saved and transaction.scalar(text("select to_regnamespace('session_reaper')")):
            linking = text("select session_reaper.link_session(:key, :user)")
            transaction.execute(linking, {"key": saved[0].session_id, "user": g.user})


@logins.user_loader
def load_user(user_id):
    return db.session.get(User, int(user_id))


@app.post("/sign-up")
def sign_up():
    hashed = generate_password_hash(request.form["password"])
    db.session.add(User(name=request.form["username"], password_hash=hashed))
    db.session.commit()
    return "welcome"


@app.post("/login")
def log_in():
    user = User.query.filter_by(name=request.form["username"]).first()
    if user is None or not check_password_hash(user.password_hash, request.form["password"]):
        return "who are you?", 401
    login_user(user)
    g.user = user.id
    return user.name


@app.get("/account")
@login_required
def account():
    return current_user.name


@app.get("/word")
def word():
    return session.get("word", "")


@app.post("/word")
def note_word():
    session["word"] = request.form["word"]
    return "noted"


@app.post("/slow-word")
def note_word_slowly():
    """A request that is in flight until the gate opens, and writes to its session then."""
    # The session has been read; an app that works on something else meanwhile ends its transaction first.
    db.session.rollback()
    print("holding", flush=True)
    while not pathlib.Path(os.environ["GATE"]).exists():
        time.sleep(0.02)
    return note_word()


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
