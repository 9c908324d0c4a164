Rails.application.routes.draw do
  devise_for :users, skip: :all
  post "/sign-up" => "pages#sign_up"
  post "/login" => "pages#log_in"
  get "/account" => "pages#account"
  post "/password" => "pages#change_password"
  get "/word" => "pages#word"
  post "/word" => "pages#note"
  post "/slow-word" => "pages#note_slowly"
end
