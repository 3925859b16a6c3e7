-- @description Insert the newest Clipsonic clip at the edit cursor
-- @version 0.1.0
-- @author Clipsonic Live
-- @about Puts the newest clip of the sample folder on the selected track, or on a new one. One undo step takes it back.

local CLIP_ENDINGS = { wav = true, flac = true, aiff = true, aif = true }
local EXT_SECTION, EXT_KEY = "Clipsonic", "folder"
local on_windows = reaper.GetOS():find("Win") ~= nil
local on_mac = reaper.GetOS():find("OSX") ~= nil or reaper.GetOS():find("macOS") ~= nil
local home = os.getenv(on_windows and "USERPROFILE" or "HOME") or ""

local function read_file(path)
  local file = io.open(path, "r")
  if not file then return "" end
  local text = file:read("a")
  file:close()
  return text
end

local function expand(path)
  return (path:gsub("^~", function() return home end))
end

-- Where the daemon reads its settings.
local function settings_path()
  local chosen = os.getenv("CLIPSONIC_SETTINGS")
  if chosen and chosen ~= "" then return chosen end
  local base = os.getenv("XDG_CONFIG_HOME") or home .. "/.config"
  if on_windows then base = os.getenv("LOCALAPPDATA") or "" end
  if on_mac then base = home .. "/Library/Application Support" end
  return base .. "/clipsonic/settings.toml"
end

-- The value of `folder = "..."`, or nil. Between double quotes a backslash escapes, between single ones it does not.
local function folder_of_settings(text)
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    local quote, rest = line:match("^%s*folder%s*=%s*([\"'])(.*)$")
    if quote == "'" then return rest:match("^([^']*)'") end
    if quote == '"' then
      local value = rest:gsub("\\(.)", function(c) return c == '"' and "\1" or c end):match('^([^"]*)"')
      return value and value:gsub("\1", '"')
    end
  end
end

-- The music folder, which Linux desktops name in the user's language.
local function music_folder()
  local named = read_file(home .. "/.config/user-dirs.dirs"):match('XDG_MUSIC_DIR="([^"]+)"')
  return named and named:gsub("^%$HOME", function() return home end) or home .. "/Music"
end

-- Places where clips may be, the surest first.
local function candidate_folders()
  local from_settings = folder_of_settings(read_file(settings_path()))
  local folders = {}
  for _, folder in ipairs({
    reaper.GetExtState(EXT_SECTION, EXT_KEY),
    os.getenv("CLIPSONIC_FOLDER") or "",
    from_settings or "",
    home .. "/Music/Ableton/User Library/Samples/Clipsonic",
    home .. "/Documents/Ableton/User Library/Samples/Clipsonic",
    music_folder() .. "/Clipsonic",
  }) do
    if folder ~= "" then folders[#folders + 1] = expand(folder) end
  end
  return folders
end

-- Names in a folder, newest first. Lua cannot ask for a file's time, the system's own listing can.
local function names_by_time(folder)
  if on_windows then
    local path = folder:gsub("/", "\\")
    local listed = reaper.ExecProcess(
      ('cmd.exe /C chcp 65001 >NUL & dir /B /A-D /O-D /T:W "%s"'):format(path), 5000) or ""
    return (listed:gsub("^%-?%d+\r?\n", ""))
  end
  local pipe = io.popen("ls -t -- '" .. folder:gsub("'", "'\\''") .. "' 2>/dev/null")
  local listed = pipe:read("a")
  pipe:close()
  return listed
end

local function newest_clip(folder)
  reaper.EnumerateFiles(folder, -1) -- forget what was listed before
  local there, index = {}, 0
  local name = reaper.EnumerateFiles(folder, 0)
  while name do
    there[name] = true
    index = index + 1
    name = reaper.EnumerateFiles(folder, index)
  end
  for listed in names_by_time(folder):gmatch("[^\r\n]+") do
    local ending = listed:lower():match("%.(%w+)$")
    if there[listed] and CLIP_ENDINGS[ending or ""] then return folder .. "/" .. listed end
  end
end

local function find_clip()
  for _, folder in ipairs(candidate_folders()) do
    local clip = newest_clip(folder)
    if clip then return clip end
  end
end

-- Asks for the folder and remembers it; nil when the person gives up.
local function ask_for_clip()
  local given, answer = reaper.GetUserInputs("Clipsonic: no clip was found", 1, "Sample folder,extrawidth=240", "")
  if not given or answer == "" then return nil end
  local folder = expand(answer):gsub("[/\\]+$", "")
  local clip = newest_clip(folder)
  if not clip then
    reaper.ShowMessageBox("There is no clip in " .. folder .. ".", "Clipsonic", 0)
    return nil
  end
  reaper.SetExtState(EXT_SECTION, EXT_KEY, folder, true)
  return clip
end

local function insert(path)
  local on_new_track = reaper.CountSelectedTracks(0) == 0
  reaper.Undo_BeginBlock()
  reaper.PreventUIRefresh(1)
  reaper.InsertMedia(path, on_new_track and 1 or 0)
  reaper.PreventUIRefresh(-1)
  reaper.UpdateArrange()
  reaper.Undo_EndBlock("Insert Clipsonic clip " .. path:match("[^/\\]+$"), -1)
end

local clip = find_clip() or ask_for_clip()
if clip then insert(clip) end
