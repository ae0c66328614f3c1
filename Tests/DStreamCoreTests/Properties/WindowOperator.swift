import BatchEngine
import DStreamCore

/// Every operator over windows, and what each is by definition.
///
/// Values are texts that are put one after the other: order counts, and the inverse takes away from
/// the front, which must be there.
enum WindowOperator: CaseIterable {
    case window, countByWindow, countByValue, groupByKey
    case reduce, reduceInverse, reduceByKey, reduceByKeyInverse, reduceByKeyFiltered

    private static let append: @Sendable (String, String) -> String = { $0 + $1 }
    private static let takeAway: @Sendable (String, String) -> String = { all, front in
        guard all.utf8.starts(with: front.utf8) else { return "\(all) without \(front)" }
        return String(decoding: all.utf8.dropFirst(front.utf8.count), as: UTF8.self)
    }

    /// Keys without values are odd: they are hidden or not, and forgotten or not.
    private static func isShown(_ value: String) -> Bool { value.utf8.count % 3 != 0 }
    private static let filter: @Sendable ((String, String)) -> Bool = { isShown($0.1) }

    func apply(
        to stream: DStream<(String, String)>, _ window: Duration, _ slide: Duration,
        _ placing: Placing
    ) -> DStream<(String, String)> {
        if placing.isCustom, isPlaced {
            return apply(to: stream, window, slide, placing.custom)
        }
        let count = placing.partitions
        switch self {
        case .window: return stream.window(window, slide: slide)
        case .countByWindow: return stream.countByWindow(window, slide: slide).map { ("", "\($0)") }
        case .countByValue:
            return stream.map { $0.0 }
                .countByValueAndWindow(window, slide: slide, partitions: count)
                .mapValues { "\($0)" }
        case .groupByKey:
            return stream.groupByKeyAndWindow(window, slide: slide, partitions: count)
                .mapValues { $0.joined(separator: "|") }
        case .reduce:
            return stream.map { $0.0 + $0.1 }
                .reduceByWindow(window: window, slide: slide, Self.append).map { ("", $0) }
        case .reduceInverse:
            return stream.map { $0.0 + $0.1 }
                .reduceByWindow(Self.append, inverse: Self.takeAway, window: window, slide: slide)
                .map { ("", $0) }
        case .reduceByKey:
            return stream.reduceByKeyAndWindow(
                window: window, slide: slide, partitions: count, Self.append)
        case .reduceByKeyInverse:
            return stream.reduceByKeyAndWindow(
                Self.append, inverse: Self.takeAway, window: window, slide: slide,
                partitions: count)
        case .reduceByKeyFiltered:
            return stream.reduceByKeyAndWindow(
                Self.append, inverse: Self.takeAway, window: window, slide: slide,
                partitions: count, filter: Self.filter)
        }
    }

    private func apply(
        to stream: DStream<(String, String)>, _ window: Duration, _ slide: Duration,
        _ partitioner: Placing.ByLength
    ) -> DStream<(String, String)> {
        switch self {
        case .groupByKey:
            return stream.groupByKeyAndWindow(window, slide: slide, partitioner: partitioner)
                .mapValues { $0.joined(separator: "|") }
        case .reduceByKey:
            return stream.reduceByKeyAndWindow(
                Self.append, window: window, slide: slide, partitioner: partitioner)
        default:
            return stream.reduceByKeyAndWindow(
                Self.append, inverse: Self.takeAway, window: window, slide: slide,
                partitioner: partitioner,
                filter: self == .reduceByKeyFiltered ? Self.filter : nil)
        }
    }

    /// The window's result from all its elements.
    ///
    /// - Parameter seen: the keys of the windows before.
    func model(_ pairs: [(String, String)], seen: inout [String]) -> [(String, String)] {
        let groups = grouped(pairs)
        let whole = pairs.map { $0.0 + $0.1 }.joined()
        let isFirst = seen.isEmpty && groups.isEmpty
        seen += groups.map(\.key).filter { key in !seen.contains { isSame($0, key) } }
        let all = seen.map { key in
            (key, groups.first { isSame($0.key, key) }?.values.joined() ?? "")
        }
        switch self {
        case .window: return pairs
        case .countByWindow: return isFirst ? [] : [("", "\(pairs.count)")]
        case .countByValue: return groups.map { ($0.key, "\($0.values.count)") }
        case .groupByKey: return groups.map { ($0.key, $0.values.joined(separator: "|")) }
        case .reduce: return groups.isEmpty ? [] : [("", whole)]
        case .reduceInverse: return isFirst ? [] : [("", whole)]
        case .reduceByKey: return groups.map { ($0.key, $0.values.joined()) }
        case .reduceByKeyInverse: return all
        case .reduceByKeyFiltered: return all.filter { Self.isShown($0.1) }
        }
    }

    /// Whether the order of what comes out is promised.
    var isOrdered: Bool { self == .window || isReduction }

    /// Whether all elements of a window become one.
    var isReduction: Bool { self == .reduce || self == .reduceInverse }

    /// Whether there is a form with the user's own placement of keys.
    private var isPlaced: Bool {
        switch self {
        case .groupByKey, .reduceByKey, .reduceByKeyInverse, .reduceByKeyFiltered: true
        default: false
        }
    }

    /// What is wrong with where elements are.
    func misplaced(_ partitions: [[(String, String)]], _ placing: Placing) -> [String] {
        switch self {
        case .window: return []
        case .countByWindow, .reduce, .reduceInverse:
            return difference("\(self), partitions", partitions.count, 1)
        case .countByValue, .groupByKey, .reduceByKey, .reduceByKeyInverse, .reduceByKeyFiltered:
            let isCustom = placing.isCustom && isPlaced
            return misplacedKeys("\(self)", partitions, placing, isCustom: isCustom)
        }
    }
}

/// What is wrong with where keys are.
func misplacedKeys(
    _ what: String, _ partitions: [[(String, String)]], _ placing: Placing, isCustom: Bool
) -> [String] {
    var found = difference("\(what), partitions", partitions.count, placing.count)
    for (index, pairs) in partitions.enumerated() {
        for (key, _) in pairs where placing.partition(for: key, isCustom: isCustom) != index {
            found.append("\(what): \(key) is in partition \(index)")
        }
    }
    return found
}
