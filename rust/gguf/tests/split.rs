//! Headers of the parts of a split model become one header.

use chord_gguf::{Header, Value, read_header};
use chord_testkit::TinyModel;

fn headers(n: usize) -> Vec<Header> {
    TinyModel::llama().parts(n).iter().map(|part| read_header(part).unwrap()).collect()
}

#[test]
fn joined_parts_have_the_bytes_of_the_whole() {
    let whole = TinyModel::llama().file();
    let header = read_header(&whole).unwrap();
    assert_eq!(header.n_parts(), 1);
    for n in [1, 2, 3, 7] {
        let files = TinyModel::llama().parts(n);
        let bytes = files.concat();
        assert!(headers(n).iter().all(|part| part.n_parts() == n as u64));
        let joined = Header::join(headers(n)).unwrap();
        assert_eq!((joined.file_len, joined.trailing_bytes), (bytes.len() as u64, 0));
        assert_eq!(joined.tensors.len(), header.tensors.len());
        assert_eq!(joined.architecture(), Some("llama"));
        for tensor in &header.tensors {
            let found = joined.tensor(&tensor.name).unwrap();
            assert_eq!((&found.dims, found.ty, found.n_bytes), (&tensor.dims, tensor.ty, tensor.n_bytes));
            let of = |bytes: &[u8], at: u64| bytes[at as usize..][..tensor.n_bytes as usize].to_vec();
            assert_eq!(of(&bytes, found.offset), of(&whole, tensor.offset), "{}", tensor.name);
        }
        assert!(joined.tensor("nope").is_none());
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused_with_their_number() {
    let refused = |parts: Vec<Header>, part: usize, word: &str| {
        let error = Header::join(parts).unwrap_err();
        assert_eq!((error.code(), error.part), ("bad-split", part), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    };
    let mut swapped = headers(3);
    swapped.swap(1, 2);
    refused(swapped, 2, "split.no is 2");
    let mut fewer = headers(3);
    fewer.pop();
    refused(fewer, 1, "split.count 3");
    let mut other = headers(3);
    other[2] = headers(4).remove(2);
    refused(other, 3, "split.count 4");
    // The same number of parts, of another model.
    let larger = TinyModel::llama().with_tensor("more", &[8]).parts(3);
    let mut other = headers(3);
    other[1] = read_header(&larger[1]).unwrap();
    refused(other, 2, "split.tensors.count");
    let mut twice = TinyModel::llama();
    twice.tensors.push(twice.tensors[0].clone());
    let twice: Vec<Header> = twice.parts(3).iter().map(|part| read_header(part).unwrap()).collect();
    refused(twice, 3, "token_embd.weight");
    let no_number = TinyModel::llama().with("split.count", Value::U16(2));
    refused(vec![read_header(&no_number.file()).unwrap()], 1, "absent");
    refused(Vec::new(), 0, "no parts");
}
