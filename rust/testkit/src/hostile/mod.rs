//! Files that a reader must refuse, and unusual ones that it must accept. Each is made by its own function.
//!
//! The same files serve the tests of the reader, of the command line and of the browser package; the command
//! `hostile-files` writes them to a folder.

mod accepts;
mod container;
mod metadata;
mod tensors;

use chord_gguf::Header;

use chord_gguf::FileBuilder;

/// A file that must be refused, and how.
#[derive(Clone, Debug)]
pub struct Reject {
    /// The name of its function.
    pub name: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// [`chord_gguf::GgufError::code`] of the error.
    pub code: &'static str,
    /// The byte that the error must point at.
    pub offset: u64,
    /// What the message must contain: names, and the numbers that disagree.
    pub message: Vec<String>,
}

/// A file that must be accepted.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The name of its function.
    pub name: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// Panics if the header is not what was written.
    pub check: fn(&Header),
}

/// What a function of these modules returns: its file, and how it must be refused.
struct Refusal {
    bytes: Vec<u8>,
    code: &'static str,
    offset: u64,
    message: Vec<String>,
}

fn refusal(file: FileBuilder, code: &'static str, offset: u64, message: &[&dyn ToString]) -> Refusal {
    Refusal { bytes: file.bytes, code, offset, message: message.iter().map(|part| part.to_string()).collect() }
}

macro_rules! rejects {
    ($($module:ident: $($name:ident)*;)*) => {
        /// All files that must be refused.
        pub fn rejects() -> Vec<Reject> {
            vec![$($({
                let Refusal { bytes, code, offset, message } = $module::$name();
                Reject { name: stringify!($name), bytes, code, offset, message }
            },)*)*]
        }
    };
}

rejects! {
    container:
        empty_file
        three_bytes
        web_page
        older_format
        reversed_magic
        version_0
        version_1
        version_4
        big_endian
        cut_in_the_tensor_count
        cut_in_the_metadata_count
        tensor_count_2_to_the_60
        tensor_count_all_ones
        tensor_count_past_the_end
        metadata_count_2_to_the_60
        metadata_count_all_ones
        metadata_count_past_the_end;
    metadata:
        empty_key
        key_length_2_to_the_60
        key_length_all_ones
        key_past_the_end
        key_not_utf8
        duplicate_key
        unknown_value_type
        value_type_all_ones
        number_cut
        string_length_2_to_the_60
        string_length_all_ones
        string_past_the_end
        string_not_utf8
        array_of_arrays
        array_of_unknown_type
        array_count_2_to_the_60
        array_count_whose_bytes_wrap
        array_past_the_end
        array_of_strings_past_the_end
        array_string_length_2_to_the_60
        array_string_too_long
        array_string_cut
        truth_value_of_2
        truth_value_in_an_array
        alignment_0
        alignment_not_a_power_of_two
        alignment_too_large
        alignment_of_64_bits
        alignment_as_text;
    tensors:
        empty_tensor_name
        tensor_name_too_long
        tensor_name_length_2_to_the_60
        tensor_name_not_utf8
        duplicate_tensor
        no_dimensions
        five_dimensions
        dimension_count_all_ones
        first_dimension_zero
        second_dimension_zero
        elements_overflow
        elements_wrap_to_zero
        bytes_overflow
        elements_past_63_bits
        bytes_past_63_bits
        unknown_tensor_type
        removed_tensor_type
        part_of_a_k_block
        part_of_a_block_per_row
        misaligned_data
        misaligned_for_a_larger_alignment
        data_past_the_end
        second_tensor_past_the_end
        data_offset_wraps
        data_of_2_to_the_63_bytes
        sum_of_sizes_wraps
        data_cut_by_one_byte
        no_data
        q4_0_without_scales
        q4_0_bytes_of_larger_dims
        f16_data_called_f32
        two_tensors_at_one_place
        data_overlaps_by_padding
        gap_between_tensors
        gap_before_the_data;
}

/// All files that must be accepted.
pub fn accepts() -> Vec<Accept> {
    accepts::all()
}
