"""The Reaper script of presets/clients under plain Lua, with a table that stands for Reaper."""

import os
import subprocess
from pathlib import Path

import pytest

from plugin_server.settings import load_settings
from tests.journeys.conftest import need

SCRIPT = Path(__file__).parent.parent.parent / "presets" / "clients" / "reaper" / "Clipsonic_Insert newest clip.lua"

REAPER = """
local function told(name, result)
  return function(...)
    local words = { name }
    for _, value in ipairs({ ... }) do words[#words + 1] = tostring(value) end
    print(table.concat(words, "|"))
    if result ~= nil then return result end
  end
end
local listing
reaper = {
  GetOS = function() return os.getenv("FAKE_OS") or "Other" end,
  GetExtState = function() return os.getenv("FAKE_STATE") or "" end,
  EnumerateFiles = function(folder, index)
    if index == -1 then listing = nil return nil end
    if not listing then
      listing = {}
      for name in io.popen("ls -a '" .. folder .. "' 2>/dev/null"):lines() do listing[#listing + 1] = name end
    end
    return listing[index + 1]
  end,
  ExecProcess = function(command)
    print("ExecProcess|" .. command)
    return "0\\r\\nnotes.txt\\r\\ngone.wav\\r\\nsea.wav\\r\\nrain.wav\\r\\n"
  end,
  GetUserInputs = function()
    print("asked")
    return os.getenv("FAKE_ANSWER") ~= nil, os.getenv("FAKE_ANSWER") or ""
  end,
  CountSelectedTracks = function() return tonumber(os.getenv("FAKE_TRACKS") or "1") end,
}
for _, name in ipairs({ "SetExtState", "ShowMessageBox", "Undo_BeginBlock", "Undo_EndBlock", "PreventUIRefresh",
  "InsertMedia", "UpdateArrange" }) do reaper[name] = told(name) end
dofile(arg[1])
"""


def run_script(tmp_path: Path, **environment: str) -> list[str]:
    """What the script asked of Reaper, a line each."""
    fake = tmp_path / "reaper.lua"
    fake.write_text(REAPER)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLIPSONIC", "XDG"))}
    command = [need("lua5.4", "lua5.4"), str(fake), str(SCRIPT)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=10, env=kept | {"HOME": str(tmp_path)} | environment
    )
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    return ended.stdout.splitlines()


def write_clips(folder: Path) -> Path:
    """Clips whose names do not tell their age, and younger things that are none; gives back the newest clip."""
    folder.mkdir(parents=True, exist_ok=True)
    for age, name in enumerate([".half.part", "notes.txt", "rain on a roof's edge.WAV", "sea.wav", "a.wav", "z.wav"]):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    return folder / "rain on a roof's edge.WAV"


def inserted(lines: list[str]) -> str:
    return next(line for line in lines if line.startswith("InsertMedia"))


def test_the_newest_clip_goes_in_as_one_undo_step(tmp_path):
    newest = write_clips(tmp_path / "Music" / "Clipsonic")
    assert run_script(tmp_path) == [
        "Undo_BeginBlock",
        "PreventUIRefresh|1",
        f"InsertMedia|{newest}|0",
        "PreventUIRefresh|-1",
        "UpdateArrange",
        f"Undo_EndBlock|Insert Clipsonic clip {newest.name}|-1",
    ]


def test_without_a_selected_track_it_gets_one(tmp_path):
    newest = write_clips(tmp_path / "Music" / "Clipsonic")
    assert inserted(run_script(tmp_path, FAKE_TRACKS="0")) == f"InsertMedia|{newest}|1"


@pytest.mark.parametrize(
    "line", ['folder = "{}"', "folder='{}'", '# a remark\nmodel = "x"\n  folder  =  "{}" # here', '\nfolder = "~/mine"']
)
def test_the_folder_is_the_daemons(tmp_path, line):
    newest = write_clips(tmp_path / "mine")
    write_clips(tmp_path / "Music" / "Clipsonic")
    settings = tmp_path / ".config" / "clipsonic" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(line.format(tmp_path / "mine"))
    assert inserted(run_script(tmp_path)) == f"InsertMedia|{newest}|0"
    if "~" not in line:
        assert load_settings(environ={"CLIPSONIC_SETTINGS": str(settings)}).folder == tmp_path / "mine"


def test_a_variable_wins_over_the_file_and_live_has_its_own_place(tmp_path):
    live = write_clips(tmp_path / "Music" / "Ableton" / "User Library" / "Samples" / "Clipsonic")
    write_clips(tmp_path / "Music" / "Clipsonic")
    assert inserted(run_script(tmp_path)) == f"InsertMedia|{live}|0"
    newest = write_clips(tmp_path / "elsewhere")
    assert inserted(run_script(tmp_path, CLIPSONIC_FOLDER=str(newest.parent))) == f"InsertMedia|{newest}|0"


def test_a_desktop_in_another_language_has_another_music_folder(tmp_path):
    newest = write_clips(tmp_path / "Musik" / "Clipsonic")
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "user-dirs.dirs").write_text('XDG_MUSIC_DIR="$HOME/Musik"\n')
    assert inserted(run_script(tmp_path)) == f"InsertMedia|{newest}|0"


def test_a_folder_that_is_not_found_is_asked_for_once(tmp_path):
    newest = write_clips(tmp_path / "far")
    lines = run_script(tmp_path, FAKE_ANSWER=f"{newest.parent}/")
    assert lines[:2] == ["asked", f"SetExtState|Clipsonic|folder|{newest.parent}|true"]
    assert inserted(lines) == f"InsertMedia|{newest}|0"
    lines = run_script(tmp_path, FAKE_STATE=str(newest.parent))
    assert "asked" not in lines and inserted(lines) == f"InsertMedia|{newest}|0"


def test_giving_up_and_empty_folders_change_nothing(tmp_path):
    assert run_script(tmp_path) == ["asked"]
    lines = run_script(tmp_path, FAKE_ANSWER=str(tmp_path / "nothing"))
    assert lines == ["asked", f"ShowMessageBox|There is no clip in {tmp_path / 'nothing'}.|Clipsonic|0"]


def test_windows_lists_by_its_own_command(tmp_path):
    folder = tmp_path / "Music" / "Clipsonic"
    write_clips(folder)
    lines = run_script(tmp_path, FAKE_OS="Win64", USERPROFILE=str(tmp_path))
    backslashed = str(folder).replace("/", "\\")
    assert lines[-7] == f'ExecProcess|cmd.exe /C chcp 65001 >NUL & dir /B /A-D /O-D /T:W "{backslashed}"'
    assert inserted(lines) == f"InsertMedia|{folder / 'sea.wav'}|0"


def test_its_syntax_is_luas():
    subprocess.run([need("luac5.4", "lua5.4"), "-p", str(SCRIPT)], check=True, timeout=10)
