internal import BatchEngine
public import DStreamCore

/// Checks that a dead-letter store keeps what its protocol promises.
///
/// - Parameter makeStore: makes an empty store.
/// - Throws: ``CheckFailure`` for the first promise that is broken; what the store throws.
public func checkDeadLetterStore(
    _ makeStore: () async throws -> any DeadLetterStore
) async throws {
    let store = try await makeStore()
    try await store.prepare()
    try require(try await store.list().entries.isEmpty, "a new store holds dead letters")
    let (first, second) = (letter(1, "print #0"), letter(2, "print #0"))
    let other = letter(1, "print #1")
    for letter in [second, other, first] { try await store.write(letter) }
    let waiting = try await store.list()
    try require(
        waiting == DeadLetterListing(entries: [first, other, second].map(\.entry)),
        "the listing is not what was written, by batch and operation: \(waiting)")
    for letter in [first, second, other] {
        let read = try await store.read(letter.entry.id)
        try require(read == letter, "\(letter.entry.id) is not read as it was written")
    }
    let replaced = letter(1, "print #0", reason: "another")
    try await store.write(replaced)
    try require(
        try await store.read(first.entry.id) == replaced,
        "a second letter of the same batch and operation does not replace the first")
    try await store.settle(first.entry.id)
    try require(
        try await store.list().entries == [other, second].map(\.entry),
        "a settled letter still waits, or others went with it")
    let isKnown = try await store.isKnown(first.entry.id)
    try require(isKnown, "a settled letter is not known any more")
    let unknown = DeadLetter.ID(batchTime: .seconds(9), operationID: "print #0")
    let isUnknown = try await !store.isKnown(unknown)
    try require(isUnknown, "a letter is known that was never written")
    let settled = try? await store.read(first.entry.id)
    try require(settled == nil, "a settled letter can be read as one that waits")
    let lock = try await store.lockForReplay()
    let secondLock = try? await store.lockForReplay()
    try require(secondLock == nil, "two can replay at a time")
    lock.release()
    try await store.lockForReplay().release()
}

private func letter(_ second: Int64, _ operation: String, reason: String = "boom") -> DeadLetter {
    let values = EncodedValues(bytes: [UInt8(second), 7], count: 2)
    return DeadLetter(
        id: DeadLetter.ID(batchTime: .seconds(second), operationID: operation), site: operation,
        reason: reason, attempts: 2,
        contents: .output(DeadLetter.Elements(shape: "UInt8", partitions: [values])))
}
