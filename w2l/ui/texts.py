"""All texts of the page, for translation; sentences of settings and errors come from where they are defined."""

TITLE = "w2l"
SYNC, SCORE, MODELS, TRAIN = "Sync", "Score", "Models", "Train"
INTRO = "Redraw a speaker's mouth to match any speech. Redraw only people who have agreed, and say that it was changed."

VIDEO = "Video, or a picture of a person"
SPEECH = "Speech: any file with sound"
MICROPHONE = "or record it"
PATH = "or a path on this machine"
INPUTS, FACES_HEAD, SETTINGS_HEAD = "1. Video and speech", "2. Faces", "3. Settings"
PREVIEW_HEAD, RUN_HEAD, JOBS_HEAD = "4. Preview", "5. Run", "Jobs"
FIND_FACES = "Find faces"
FACES = "Faces to redraw (none: the one on screen longest and largest)"
FACE_TIME = "Frame shown, seconds"
FACE = "Face {number}: {words}"
FACE_BUTTON = "Face {number}, choose or release it"
FACES_HINT = "Click a face to choose it. Choose several to give each a speech of its own."
FACE_SPEECH = "Speech of the face chosen {place}"
PLACES = ("second", "third", "fourth")
NO_VIDEO = "Choose a video first."
FACES_PICTURE = "A frame of the video; its faces are buttons"

PREVIEW_TIME = "Time in the result, seconds"
PREVIEW = "Preview one second"
PREVIEW_DONE = "Second {start:.1f} to {end:.1f} of the result."

ALL_SETTINGS = "All settings"
ENDING = "File type"
ENDING_INFO = "Ending of the result's name."
RUN = "Run"
ADDED = "Job {name} is in line."

JOB_LIST = "Jobs, the newest first; times in UTC"
NO_JOBS = "No jobs yet."
STATES = {
    "waiting": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}
STAGES = {"": "starting", "faces": "finding faces", "sync": "drawing", "score": "measuring"}
UNITS = {"score": "clips"}
UNIT = "frames"
PROGRESS = "{stage}: {done} of {total} {unit}"
PROGRESS_OPEN = "{stage}: {done} {unit}"
RATE = "{rate:.1f} {unit}/s"
LEFT = "{left} left"
PLACE_IN_LINE = "place {place} in line"
CANCEL, CONTINUE, REMOVE = "Cancel", "Continue", "Remove"
COMMAND = "The same as a command"
DOWNLOAD, RECORD = "Download the result", "Download its record"
VERDICT = "What w2l verify says"

SCORE_INTRO = "Measure how well mouth and voice agree, and picture quality, optionally against the real videos."
OUTPUTS = "Videos to score"
REFERENCES = "Real videos (none: as recorded)"
PATHS = "or paths on this machine, one per line: videos, folders (each a system) or lists"
MEASURES_LABEL = "Measures"
MEASURES = {
    "lse": "lip sync: LSE-D, LSE-C, offset",
    "fid": "FID of the faces",
    "quality": "picture quality (needs real videos)",
    "mouth": "mouth: closure, silence, teeth",
    "identity": "likeness of the face",
}
SCORE_RUN = "Score"
SCORE_PAGE = "Scores: table, offset curves, worst clips"
DOWNLOAD_PAGE, DOWNLOAD_TABLE = "Download the page", "Download the table (CSV)"
OPEN_ALONE = "Open the page alone"
NO_PAGE = "There is no such page; reload the list of jobs."

MODELS_INTRO = "The models that are there; open one for its card. A name is what the setting `model` or `judge` takes."
ORIGINS = {"shipped": "shipped", "imported": "imported", "run": "from a run", "pack": "downloaded"}
SIZE = "{size:.1f} MB"
LICENCE, NOT_STATED = "licence", "not stated"
IMPORT_HEAD, FETCH_HEAD = "Import a file", "Download"
MODEL_FILE = "Model file (.pth, .pt, .safetensors)"
MODEL_NAME = "Name to find it by"
MODEL_LICENCE = "Its licence, if the file does not state it"
MODEL_OVERWRITE = "Replace a model that was imported under this name"
IMPORT = "Import"
IMPORTED = "{name} is imported: {kind}."
PACK = "Models"
PACK_SIZE = "{size:.0f} MB to download, {kept:.0f} MB kept, from {url}"
AGREE = "I agree to its licence and terms"
FETCH = "Download"
FETCHING = "Downloading {name}: {share:.0%}"
FETCHED = "{name} is installed."

TRAIN_INTRO = (
    "Runs of `w2l train-expert` and `w2l train` in the cache. They are shown as they train; nothing is changed here."
)
RUN_LIST = "Runs, the last changed first"
NO_RUNS = "No runs yet; begin with: w2l train-expert"
RUN_STEP = "step {step}"
RUN_STEPS = "step {step} of {total}"
RUN_CHANGED = "changed {ago} ago"
RUN_TRAINING = "training"
CHECKS_HEAD = "Checks of the data before it began"
RUN_PAGE = "Open the whole page of the run"

CALLS = {
    "sync": "Put a sync in line: video, speech, settings by their names, file type. Returns the job.",
    "score": "Put scores in line: videos, real videos, settings by their names. Returns the job.",
    "jobs": "Return all jobs, the oldest first.",
    "job": "Return the job of an id: state, progress, error, result, files, command.",
    "cancel": "Cancel the job of an id; finished parts are kept.",
}

BEFORE, AFTER = "before", "after"
PLAY = "Play or pause"
WIPE = "Divide between before and after"
HEAD = "Play head"
MUTE, SOUND_ON, SOUND_OFF = "Sound on or off", "sound on", "sound off"

OUTSIDE = "paths on this machine cannot be named over the network; upload the file instead"
BUSY_FACES = "Finding faces: {done} of {total} frames"
BUSY_PREVIEW = "Making the preview: {stage}, {done} of {total}"
BUSY = "Working ..."
