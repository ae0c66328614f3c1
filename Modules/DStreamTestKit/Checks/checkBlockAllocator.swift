internal import BatchEngine
public import DStreamCore

/// Checks that what gives blocks to batches keeps the promises of `BlockAllocator`.
///
/// - Parameters:
///   - make: makes one without blocks.
///   - add: has a block be received; called with blocks of the streams 0 and 7, one after the other.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what was thrown.
public func checkBlockAllocator<Allocator: BlockAllocator>(
    _ make: () async throws -> Allocator,
    add: (Allocator, StoredBlock) async throws -> Void
) async throws {
    let allocator = try await make()
    func check(
        _ batch: Int64, _ expected: [Int: [Int64]], _ promise: String
    ) async throws {
        for stream in [0, 7] {
            let id = StreamID(stream)
            let found = await allocator.blocks(allocatedTo: .seconds(batch), stream: id)
            let blocks = (expected[stream] ?? []).map { block($0, of: stream) }
            try require(found == blocks, "\(promise): batch \(batch), stream \(stream): \(found)")
        }
    }
    try require(!(await allocator.hasUnallocatedBlocks), "at first there are no blocks")
    try await allocator.allocateBlocks(to: .seconds(1))
    for (number, stream) in [(3, 0), (1, 7), (2, 0), (9, 7)] as [(Int64, Int)] {
        try await add(allocator, block(number, of: stream))
    }
    try require(await allocator.hasUnallocatedBlocks, "a block that no batch has is reported")
    try await allocator.allocateBlocks(to: .seconds(3))
    try require(!(await allocator.hasUnallocatedBlocks), "a batch is given all blocks")
    let first: [Int: [Int64]] = [0: [3, 2], 7: [1, 9]]
    try await check(3, first, "blocks belong to the next batch, as they were received")
    try await check(1, [:], "a batch has no later blocks")
    try await check(2, [:], "an unknown batch has no blocks")
    try await add(allocator, block(4, of: 0))
    for batch in [3, 2] as [Int64] {
        try await allocator.allocateBlocks(to: .seconds(batch))
        try await check(3, first, "a batch at or before the last one is ignored")
        try await check(2, [:], "a batch at or before the last one is ignored")
    }
    try await allocator.allocateBlocks(to: .seconds(4))
    try await check(4, [0: [4]], "a block belongs to one batch")
    try await allocator.releaseBatches(before: .seconds(4), keeping: [])
    try await check(3, [:], "released batches are forgotten")
    try await check(4, [0: [4]], "batches from the threshold on stay")
}

private func block(_ number: Int64, of stream: Int) -> StoredBlock {
    StoredBlock(
        id: .input(stream: stream, number), streamID: StreamID(stream), recordCount: Int(number),
        byteCount: Int(number) * 8)
}
