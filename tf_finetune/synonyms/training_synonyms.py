"""Names in other packages of settings for training."""

from tf_finetune.synonyms import value_synonyms

TRAINING = (
    value_synonyms.define(
        "epochs",
        "epoch num_epochs n_epochs n_epoch num_epoch nepochs n_ep ep nb_epoch "
        "num_train_epochs max_epochs max_epoch total_epochs train_epochs "
        "training_epochs fine_tune_epochs finetune_epochs e epoch_num "
        "epochs_num max_steps num_steps steps total_steps num_train_steps "
        "train_steps training_steps iterations iters max_iter",
        "Fine-tuning is counted in passes over the pictures: --epochs=10; "
        "--epochs=0 solves the head alone.",
    ),
    value_synonyms.define(
        "stages",
        "freeze_epochs gradual_unfreezing gradual_unfreeze unfreeze_epochs "
        "unfreeze_schedule training_stages phases",
        "It unfreezes layers by and by: --stages=head,top:3,all:7.",
    ),
    value_synonyms.define(
        "head_epochs",
        "decoder_epochs probe_epochs head_train_epochs top_epochs",
        "Decoders are trained that long first: --head_epochs=20; other heads "
        "are solved.",
    ),
    value_synonyms.define(
        "",
        "steps_per_epoch validation_steps train_steps_per_epoch samples_per_"
        "epoch validation_freq val_freq eval_steps eval_interval eval_freq "
        "evaluation_strategy eval_strategy val_interval check_val_every_n_"
        "epoch val_check_interval",
        "An epoch is one pass over the training pictures, and all validation "
        "pictures are evaluated after each; leave it out.",
    ),
    value_synonyms.define(
        "batch_size",
        "bs batch b batchsize batch_sz train_batch_size train_bs "
        "training_batch_size eval_batch_size val_batch_size test_batch_size "
        "per_device_train_batch_size per_device_eval_batch_size "
        "per_device_batch_size per_gpu_batch_size per_gpu_train_batch_size "
        "global_batch_size batch_size_per_gpu mini_batch_size minibatch_size "
        "vbs validation_batch_size mini_batch minibatch n_batch auto_batch",
        "It counts pictures of a step, over all devices: --batch_size=32.",
    ),
    value_synonyms.define(
        "optimizer",
        "opt optim optimizer_name optimizer_type opt_func optimiser "
        "opt_name solver",
        "It takes a Keras optimizer: --optimizer=adamw.",
    ),
    value_synonyms.define(
        "optimizer",
        "momentum nesterov sgd_momentum beta1 betas adam_beta1 mom moms",
        "It is part of a name: --optimizer=momentum is SGD with 0.9.",
    ),
    value_synonyms.define(
        "learning_rate",
        "lr lr0 learn_rate learningrate base_lr base_learning_rate init_lr "
        "initial_lr initial_learning_rate max_lr lr_max peak_lr eta alpha "
        "lr_rate start_lr blr head_lr backbone_lr encoder_lr step_size "
        "fine_tune_lr finetune_lr lrs lr_mult learning_rate_init",
        "It is the highest rate of the run: --learning_rate=0.0001.",
    ),
    value_synonyms.define(
        "",
        "lrf min_lr lr_min eta_min final_lr end_lr final_lr_factor "
        "end_learning_rate lr_end",
        "--schedule=cosine ends at 0, --schedule=constant at the rate itself.",
    ),
    value_synonyms.define(
        "schedule",
        "lr_scheduler scheduler sched lr_schedule lr_policy cos_lr "
        "lr_scheduler_type lr_scheduler_name lr_decay decay decay_rate "
        "decay_steps decay_epochs lr_gamma gamma lr_step_size lr_steps "
        "milestones reduce_lr reduce_lr_on_plateau one_cycle cosine_decay "
        "learning_rate_schedule lr_drop cosine scheduler_type",
        "It takes --schedule=cosine or constant.",
    ),
    value_synonyms.define(
        "warmup_fraction",
        "warmup warmup_epochs warmup_steps warmup_ratio warm_up num_warmup_"
        "steps lr_warmup_epochs pct_start warmup_lr warmup_proportion "
        "warmup_iters n_warmup_steps lr_warmup",
        "It is a share of all steps: --warmup_fraction=0.1.",
    ),
    value_synonyms.define(
        "weight_decay",
        "wd decay_weight weight_reg adam_weight_decay lambda_wd "
        "weightdecay wdecay",
        "It is decoupled from the rate: --weight_decay=0.0001.",
    ),
    value_synonyms.define(
        "loss",
        "criterion loss_fn loss_func loss_function loss_name loss_type "
        "cls_loss losses",
        "It takes a name: --loss=cross_entropy.",
    ),
    value_synonyms.define(
        "label_smoothing",
        "smoothing smooth label_smoothing_factor ls label_smooth smooth_factor",
        "It takes a share: --label_smoothing=0.1.",
    ),
    value_synonyms.define(
        "class_weight",
        "class_weights weighted weighted_loss cls_weights class_balance "
        "balance balanced balance_classes pos_weight weighted_sampler "
        "sample_weight oversample loss_weights",
        "It takes --class_weight=none, balanced or effective_number.",
    ),
    value_synonyms.define(
        "augmentation",
        "augment aug augs data_augmentation data_aug use_augmentation "
        "augmentations transforms transform aug_transforms batch_tfms tfms "
        "auto_augment autoaugment aa randaugment rand_augment rand_aug "
        "random_flip flip hflip vflip fliplr flipud horizontal_flip "
        "vertical_flip rotation rotation_range degrees zoom_range shear "
        "random_rotation random_crop random_zoom random_resized_crop scale "
        "color_jitter colorjitter hsv_h hsv_s hsv_v brightness contrast "
        "erasing random_erase reprob trivial_augment augmix augmentation_"
        "strength train_transform do_augmentation",
        "One word says how strong: --augmentation=none, light, medium or "
        "strong.",
    ),
    value_synonyms.define(
        "",
        "mixup cutmix mosaic mixup_alpha cutmix_alpha copy_paste mix_up",
        "--augmentation=strong mixes pictures by MixUp and CutMix (masks by "
        "CutMix alone).",
    ),
    value_synonyms.define(
        "patience",
        "early_stopping early_stop early_stopping_patience es_patience "
        "early_stopping_rounds earlystopping early_stop_patience "
        "n_epochs_stop stop_patience",
        "It counts epochs without a better validation result: --patience=5.",
    ),
    value_synonyms.define(
        "clip_norm",
        "clip_grad clipnorm grad_clip gradient_clip max_grad_norm clip "
        "clip_grad_norm gradient_clip_val gradient_clipping global_clipnorm "
        "clip_gradient grad_clip_norm grad_norm gradient_clip_norm clip_value",
        "It bounds the gradient of all weights together: --clip_norm=1.",
    ),
    value_synonyms.define(
        "gradient_accumulation_steps",
        "accumulate grad_accum accumulation_steps accumulate_grad_batches "
        "grad_accum_steps accum_iter gradient_accumulation accum_steps nbs "
        "grad_accumulation_steps n_acc accumulation",
        "It divides a step to save memory: --gradient_accumulation_steps=4.",
    ),
    value_synonyms.define(
        "ema_momentum",
        "ema model_ema ema_decay model_ema_decay use_ema weight_ema swa "
        "model_ema_steps",
        "It keeps moving averages of the weights: --ema_momentum=0.99.",
    ),
    value_synonyms.define(
        "precision",
        "amp fp16 bf16 half mixed_precision use_amp float16 bfloat16 to_fp16 "
        "dtype autocast half_precision apex native_amp fp32 float32 "
        "mixed_float16 dtype_policy",
        "It takes --precision=auto, float32, mixed_float16 or mixed_bfloat16.",
    ),
    value_synonyms.define(
        "strategy",
        "distributed distribution ddp dp num_gpus gpus n_gpus n_gpu world_"
        "size devices multi_gpu nproc_per_node distribute mirrored "
        "distribution_strategy data_parallel num_nodes dist fsdp",
        "--strategy=auto uses all GPUs of this machine; see "
        "docs/distributed.md for several.",
    ),
    value_synonyms.define(
        "",
        "device gpu gpu_id gpu_ids cuda no_cuda use_gpu use_cuda use_cpu cpu "
        "accelerator cuda_visible_devices mps no_gpu cuda_device local_rank",
        "A GPU is used where TensorFlow sees one; the variable "
        "CUDA_VISIBLE_DEVICES=0 of the environment says which, and an empty "
        "one leaves the CPU. --strategy spreads a run over several.",
    ),
    value_synonyms.define(
        "seed",
        "random_seed random_state manual_seed rng_seed rand_seed rng "
        "seed_value global_seed",
        "It takes a whole number: --seed=0.",
    ),
    value_synonyms.define(
        "deterministic",
        "cudnn_deterministic use_deterministic_algorithms reproducible "
        "cudnn_benchmark enable_determinism determinism",
        "It takes no value: --deterministic.",
    ),
    value_synonyms.define(
        "objective",
        "ssl semi_supervised method algorithm semi",
        "It takes --objective=pseudo_label, fixmatch and others.",
    ),
    value_synonyms.define(
        "confidence",
        "p_cutoff confidence_threshold",
        "It is a probability: --confidence=0.95.",
    ),
)
