"""Names in other packages of settings for the data and the network."""

from tf_finetune.synonyms import value_synonyms

DATA = (
    value_synonyms.define(
        "data",
        "data_dir data_path data_root dataset dataset_dir dataset_name "
        "dataset_path root root_dir train_dir train_path train_data "
        "train_file traindir train image_dir images_dir image_folder img_dir "
        "img_folder input_dir input_path input inputs folder path source src "
        "dir directory images imgs image img file files picture pictures csv "
        "csv_file csv_path train_csv dataframe df annotations annotation_file "
        "labels_file label_file manifest filenames",
        "It takes a folder, a CSV file or a pattern: --data=flowers/.",
    ),
    value_synonyms.define(
        "validation_fraction",
        "val_split validation_split valid_pct valid_split val_pct val_ratio "
        "val_size valid_size validation_size val_fraction val_frac val_percent "
        "validation_ratio valid_ratio dev_split dev_size split_ratio holdout "
        "split train_split train_size train_ratio train_fraction",
        "It is the share held out: --validation_fraction=0.2.",
    ),
    value_synonyms.define(
        "test_fraction",
        "test_split test_size test_ratio test_pct test_frac test_percent",
        "It is the share held out: --test_fraction=0.2.",
    ),
    value_synonyms.define(
        "",
        "val_dir val_path val_data validation_data validation_dir "
        "validation_file valid_dir valid_path val_csv test_dir test_path "
        "test_data test_file test_csv eval_dir eval_data valid val",
        "A folder with train/, validation/ and test/ in it brings its own "
        "splits, and so does a table with a column `split`: give that as "
        "--data.",
    ),
    value_synonyms.define(
        "image_column",
        "image_col img_col file_col filename_col path_col fn_col x_col xcol "
        "filename image_path img_path file_name image_key file_column",
        "It names the column of the CSV file: --image_column=file.",
    ),
    value_synonyms.define(
        "label_column",
        "label_col labels_col label_columns target_col target_column y_col "
        "ycol class_col class_column label_key labels_column target",
        "It names the column of the CSV file: --label_column=class.",
    ),
    value_synonyms.define(
        "split_column",
        "split_col valid_col splits_column is_valid fold_column",
        "It names the column of the CSV file: --split_column=split.",
    ),
    value_synonyms.define(
        "group_column",
        "group_col groups group patient_col patient_id groups_column",
        "It names the column of the CSV file: --group_column=patient.",
    ),
    value_synonyms.define(
        "",
        "num_classes nc n_classes num_class nclasses n_out num_labels "
        "class_names class_mode label_mode classes labels label n_labels "
        "class_list label_list single_cls class_map id2label label2id",
        "The classes and their number are read from the data; leave it out.",
    ),
    value_synonyms.define(
        "max_train_per_class",
        "subset limit max_samples max_train_samples num_samples n_samples "
        "shots n_shot samples_per_class train_subset fraction limit_train",
        "It counts pictures of each class: --max_train_per_class=100.",
    ),
    value_synonyms.define(
        "unlabeled_data",
        "unlabelled_data unlabeled unlabelled unlabeled_dir unlabelled_dir "
        "unsup_data",
        "It takes a folder or a quoted pattern: --unlabeled_data=photos/.",
    ),
    value_synonyms.define(
        "",
        "shuffle shuffle_buffer shuffle_buffer_size shuffle_files",
        "Training pictures are shuffled anew in every epoch; --seed draws "
        "another order.",
    ),
    value_synonyms.define(
        "",
        "workers num_workers n_workers j dataloader_num_workers num_threads "
        "threads use_multiprocessing pin_memory prefetch prefetch_factor "
        "num_parallel_calls max_queue_size persistent_workers",
        "Pictures are read by as many threads as the machine has use for; "
        "leave it out.",
    ),
)
MODEL = (
    value_synonyms.define(
        "backbone",
        "model arch architecture a m net network model_name model_type "
        "base_model encoder encoder_name backbone_name model_name_or_path "
        "pretrained_model_name_or_path timm_model application model_id "
        "hub_url tfhub_handle model_handle cnn feature_extractor",
        "It takes a name that `python -m tf_finetune backbones` lists: "
        "--backbone=resnet50.",
    ),
    value_synonyms.define(
        "weights",
        "pretrained pretrained_weights pretrain init_weights initial_weights "
        "load_weights weights_path checkpoint checkpoint_path ckpt ckpt_path "
        "pretrained_path model_path init_checkpoint initial_checkpoint "
        "load_from load from_scratch encoder_weights weights_file",
        "It takes --weights=imagenet, --weights=none for random ones, or a "
        "file.",
    ),
    value_synonyms.define(
        "workdir",
        "model weights checkpoint ckpt model_path model_dir run run_dir "
        "checkpoint_path weights_path ckpt_path checkpoint_dir saved_model "
        "model_name_or_path model_file learner learn load m w",
        "It takes the folder of a finished run: --workdir=runs/flowers.",
    ),
    value_synonyms.define(
        "image_size",
        "imgsz img_size image_sz imsize im_size img_sz size input_size "
        "input_shape target_size resolution img_height img_width image_height "
        "image_width height width crop_size train_crop_size val_crop_size "
        "val_resize_size resize_size crop train_size image_resolution "
        "input_resolution res dim img_dim image_dim image_shape input_dim",
        "It is the side of the square that the network sees, in pixels: "
        "--image_size=224.",
    ),
    value_synonyms.define(
        "resize",
        "resize_method resize_mode letterbox crop_pct keep_aspect_ratio "
        "preserve_aspect_ratio crop_to_aspect_ratio pad_to_aspect_ratio "
        "interpolation rect pad item_tfms",
        "It takes --resize=squash, crop or pad.",
    ),
    value_synonyms.define(
        "head",
        "classifier top head_type decoder decoder_name custom_head fc "
        "include_top pooling global_pool pool concat_pool",
        "It takes --head=linear or mlp, or a decoder such as unet; features "
        "are averaged over the picture.",
    ),
    value_synonyms.define(
        "head_layers",
        "hidden_units hidden_size hidden_layers hidden lin_ftrs dense_units "
        "dense_layers units fc_layers mlp_layers",
        "It lists layers: --head_layers=512,relu,dropout:0.3.",
    ),
    value_synonyms.define(
        "dropout",
        "drop drop_rate dropout_rate ps head_dropout hidden_dropout dropout_p "
        "classifier_dropout do drop_out",
        "It is dropped before the last layer: --dropout=0.3.",
    ),
    value_synonyms.define(
        "l2",
        "l2_reg l2_regularization kernel_regularizer l2_penalty reg",
        "It penalizes the head's kernels: --l2=0.0001.",
    ),
    value_synonyms.define(
        "trainable",
        "freeze unfreeze freeze_backbone freeze_layers frozen freeze_encoder "
        "freeze_base freeze_to freeze_until fine_tune_at "
        "finetune_at fine_tune finetune fine_tune_layers unfreeze_at "
        "trainable_layers layers_to_train train_layers num_freeze n_freeze "
        "unfreeze_layers train_backbone feature_extract feature_extraction "
        "feature_extracting linear_probe linear_probing transfer",
        "It says what moves, not what stays: --trainable=head, top, all, or "
        "patterns of layers such as conv5*.",
    ),
    value_synonyms.define(
        "freeze_batch_norm",
        "freeze_bn train_bn bn_freeze freeze_batchnorm frozen_bn bn_eval",
        "Statistics stay unless --freeze_batch_norm=false is given.",
    ),
    value_synonyms.define(
        "input_channels",
        "channels in_chans in_channels num_channels ch grayscale greyscale "
        "color_mode colour_mode gray grey n_channels img_channels",
        "It takes --input_channels=3 for color, 1 for luminance.",
    ),
    value_synonyms.define(
        "",
        "mean std image_mean image_std norm_mean norm_std normalize normalise "
        "rescale preprocessing preprocess preprocessing_function rescaling "
        "preprocess_input normalization img_mean img_std do_normalize",
        "The model holds its network's own preprocessing: RGB 0..255 goes in; "
        "leave it out.",
    ),
    value_synonyms.define(
        "output_stride", "os dilation atrous", "It takes --output_stride=16."
    ),
    value_synonyms.define(
        "task",
        "mode problem_type problem model_task task_type type multi_label "
        "multilabel regression segmentation segment classification",
        "It takes --task=classification, multilabel, regression or "
        "segmentation.",
    ),
)
