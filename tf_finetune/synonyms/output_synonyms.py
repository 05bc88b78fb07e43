"""Names in other packages of settings for results, exports and serving."""

from tf_finetune.synonyms import value_synonyms

OUTPUTS = (
    value_synonyms.define(
        "output",
        "output_dir out_dir outdir save_dir out output_file output_path "
        "out_file save_path dest save save_to result_file results_file "
        "csv_out predictions results_dir o save_txt to_csv",
        "It takes a file or a folder: --output=results.csv.",
    ),
    value_synonyms.define(
        "format",
        "export_format formats fmt save_format file_format target include "
        "onnx tflite litert savedmodel torchscript int8 quantize "
        "quantization keras h5",
        "It takes one or several: --format=saved_model,onnx.",
    ),
    value_synonyms.define(
        "exports",
        "model_base_path export_dir model_dir base_path saved_model_dir "
        "saved_model",
        "It takes the folder of exported versions: --exports=runs/a/export.",
    ),
    value_synonyms.define(
        "workdir",
        "output_dir out_dir outdir save_dir out output output_path save_path "
        "log_dir logdir logs logs_dir project name exp_name run_name "
        "experiment experiment_name exp results_dir result_dir checkpoint_dir "
        "ckpt_dir model_dir job_dir run_dir save_to savedir default_root_dir "
        "export_dir work_dir working_dir results o filepath save_model_path",
        "It is the folder of all results: --workdir=runs/first.",
    ),
    value_synonyms.define(
        "cache_dir",
        "cache_folder cache_path cachedir hf_cache_dir",
        "It takes a folder: --cache_dir=/tmp/cache.",
    ),
    value_synonyms.define(
        "overwrite",
        "exist_ok overwrite_output_dir force clobber overwrite_output "
        "force_overwrite",
        "It takes no value: --overwrite.",
    ),
    value_synonyms.define(
        "plan",
        "dry_run dryrun summary print_model model_summary info fast_dev_run",
        "It takes no value: --plan.",
    ),
    value_synonyms.define(
        "tensorboard",
        "tb use_tensorboard tensorboard_dir report_to logger wandb use_wandb "
        "log_wandb mlflow track comet tensorboard_log",
        "It takes no value: --tensorboard; history.csv is always written.",
    ),
    value_synonyms.define(
        "checkpoint_every_steps",
        "save_steps checkpoint_freq save_freq save_period save_interval "
        "checkpoint_interval save_every save_strategy checkpoint_every "
        "save_epoch_freq checkpointing_steps",
        "A checkpoint follows every epoch; --checkpoint_every_steps=100 "
        "writes more.",
    ),
    value_synonyms.define(
        "keep_checkpoints",
        "save_total_limit keep_checkpoint_max checkpoint_hist max_to_keep "
        "max_checkpoints num_checkpoints keep_last save_top_k",
        "It counts checkpoints of an unfinished run: --keep_checkpoints=2.",
    ),
    value_synonyms.define(
        "",
        "resume resume_from resume_from_checkpoint auto_resume continue "
        "resume_training initial_epoch start_epoch last_ckpt restart "
        "continue_training",
        "The same command resumes an unfinished run; --weights takes the "
        "workdir of a finished one.",
    ),
    value_synonyms.define(
        "",
        "save_best save_best_only save_model save_last load_best "
        "load_best_model_at_end monitor metric metrics eval_metric "
        "metric_for_best_model best_metric checkpoint_metric model_checkpoint "
        "save_weights save_weights_only restore_best_weights callbacks cbs",
        "The best epoch on validation is kept, and every figure is written; "
        "--fail_below=accuracy:0.9 asks for one.",
    ),
    value_synonyms.define(
        "fail_below",
        "min_accuracy target_accuracy target_metric",
        "It names a figure and a bound: --fail_below=accuracy:0.9.",
    ),
    value_synonyms.define(
        "",
        "verbose quiet silent log_level loglevel debug progress print_freq "
        "log_interval log_freq logging_steps log_every_n_steps disable_tqdm "
        "show_progress",
        "A command says less with --verbosity=-1, a call with report=…, which "
        "gets what would be printed.",
    ),
    value_synonyms.define(
        "top_k",
        "topk k num_predictions n_predictions top5",
        "It counts classes: --top_k=5.",
    ),
    value_synonyms.define(
        "",
        "conf threshold conf_thres conf_threshold confidence_threshold thresh "
        "score_threshold iou iou_thres",
        "Thresholds of labels are found on the validation pictures; "
        "probabilities are given with every prediction.",
    ),
    value_synonyms.define(
        "examples",
        "num_examples n_examples calibration_samples num_calibration_samples",
        "It counts held-out pictures: --examples=16.",
    ),
    value_synonyms.define(
        "port",
        "http_port rest_port rest_api_port p server_port listen",
        "It takes a number: --port=8501.",
    ),
    value_synonyms.define(
        "grpc_port", "grpc grpc_server_port", "It takes --grpc_port=8500."
    ),
    value_synonyms.define(
        "host",
        "address bind ip server hostname bind_address listen_address addr",
        "It takes an address: --host=127.0.0.1.",
    ),
    value_synonyms.define(
        "max_batch_size",
        "batch_size batch bs max_batch batching",
        "It bounds what is computed together: --max_batch_size=32.",
    ),
    value_synonyms.define(
        "max_delay_milliseconds",
        "batch_timeout max_batch_delay batch_timeout_micros max_latency "
        "max_delay",
        "It takes milliseconds: --max_delay_milliseconds=5.",
    ),
    value_synonyms.define(
        "timeout_seconds",
        "timeout rest_api_timeout_in_ms request_timeout",
        "It takes seconds: --timeout_seconds=30.",
    ),
    value_synonyms.define(
        "flagfile",
        "config cfg config_file config_path hyp hparams params yaml yaml_file "
        "hyp_file json_config c settings flags_file opts",
        "A file of flags, one a line, is read by --flagfile=FILE.",
    ),
    value_synonyms.define(
        "clear",
        "clean purge remove delete rm clear_cache",
        "It takes --clear=features, all, or entries by name.",
    ),
)
