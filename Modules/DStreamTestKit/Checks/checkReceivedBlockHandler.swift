public import BatchEngine
public import DStreamCore
public import ReceiverRuntime

/// Checks that what stores received blocks keeps the promises of `ReceivedBlockHandler`, as far as
/// no crash is needed.
///
/// - Parameter make: makes a handler for the blocks of a stream, of `Int`s, which batches read in
///   the engine's block store.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what the handler threw.
public func checkReceivedBlockHandler(
    _ make: (StreamID, any ExecutionEngine) async throws -> any ReceivedBlockHandler
) async throws {
    let engine = LocalEngine(slots: 1)
    defer { engine.shutdown() }
    let handler = try await make(StreamID(7), engine)
    var blocks: [StoredBlock] = []
    for number in 1...4 {
        let stored = try await handler.store(block(number))
        try require(
            stored.streamID == StreamID(7), "a block is of the handler's stream: \(stored)")
        try require(
            stored.recordCount == 2 * number && stored.byteCount == 16 * number
                && stored.metadata == ["number": "\(number)"],
            "the driver knows what a block counts, and its metadata: \(stored)")
        blocks.append(stored)
        for (number, stored) in zip(1..., blocks) {
            try requireElements(of: stored, number, engine, "a stored block is what was received")
        }
    }
    try require(Set(blocks.map(\.id)).count == 4, "each block has a name of its own")
    await handler.remove([blocks[0]])
    await handler.remove([blocks[0]])
    try require(try engine.blockStore.get(blocks[0].id) == nil, "a removed block is gone")
    try requireElements(of: blocks[1], 2, engine, "other blocks stay")
    await handler.setAside([blocks[1], blocks[0]])
    try require(
        try engine.blockStore.get(blocks[1].id) == nil, "a block set aside takes no memory")
    try requireElements(of: blocks[2], 3, engine, "others are not set aside")
    let isRestored = try await handler.restore(blocks[1])
    try require(
        isRestored || blocks[1].logHandle == nil, "a logged block that was set aside is restored")
    if isRestored {
        try requireElements(of: blocks[1], 2, engine, "a restored block is what it was")
    }
    await handler.remove(blocks)
    try require(engine.blockStore.usage == BlockStoreUsage(), "remove leaves nothing behind")
}

private func elements(_ number: Int) -> [Int] { (0..<(2 * number)).map { $0 + 100 * number } }

private func block(_ number: Int) -> ReceivedBlock {
    ReceivedBlock(
        id: .input(stream: 7, Int64(number)),
        contents: [
            .values(Values(Array(elements(number).prefix(1)))),
            .values(Values(Array(elements(number).dropFirst()))),
        ], recordCount: 2 * number, byteCount: 16 * number, metadata: ["number": "\(number)"])
}

private func requireElements(
    of block: StoredBlock, _ number: Int, _ engine: any ExecutionEngine, _ promise: String
) throws {
    guard let contents = try engine.blockStore.get(block.id) else {
        throw CheckFailure("\(promise): \(block.id) is not in the block store")
    }
    let found = try contents.flatMap { try $0.elements(of: Int.self) }
    try require(found == elements(number), "\(promise): \(block.id) holds \(found)")
}
