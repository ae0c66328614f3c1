/// A stream by definition: what each window is, computed from the whole history.
///
/// Times count batches from 1; a time without an entry has no RDD.
struct ModelStream<Element> {
    /// Batches between two RDDs.
    var slide: Int
    /// The last batch there is.
    var end: Int
    var batches: [Int: [Element]]

    /// An input stream; nil: no RDD.
    init(_ batches: [[Element]?]) {
        slide = 1
        end = batches.count
        self.batches = [:]
        for (index, batch) in batches.enumerated() { self.batches[index + 1] = batch }
    }

    fileprivate init(slide: Int, end: Int, batches: [Int: [Element]]) {
        self.slide = slide
        self.end = end
        self.batches = batches
    }

    /// The times at which windows with a slide end.
    fileprivate func times(_ slide: Int) -> StrideThrough<Int> {
        stride(from: slide, through: end, by: slide)
    }

    /// The RDDs within the window that ends at a time, oldest first.
    fileprivate func within(_ window: Int, endingAt time: Int) -> [[Element]] {
        stride(from: time - window + slide, through: time, by: slide).compactMap { batches[$0] }
    }

    func window(_ window: Int, _ slide: Int) -> ModelStream {
        var result = ModelStream(slide: slide, end: end, batches: [:])
        for time in times(slide) {
            result.batches[time] = within(window, endingAt: time).flatMap { $0 }
        }
        return result
    }

    /// The number of elements; nothing before the first element ever.
    func counts(_ window: Int, _ slide: Int) -> ModelStream<Int> {
        var hasBegun = false
        var result = ModelStream<Int>(slide: slide, end: end, batches: [:])
        for time in times(slide) {
            let count = within(window, endingAt: time).reduce(0) { $0 + $1.count }
            hasBegun = hasBegun || count > 0
            result.batches[time] = hasBegun ? [count] : []
        }
        return result
    }

    /// Reduced in order; an empty window gives nothing.
    func reduce(
        _ window: Int, _ slide: Int, _ combine: (Element, Element) -> Element
    ) -> ModelStream {
        var result = self.window(window, slide)
        result.batches = result.batches.mapValues { elements in
            elements.first.map { [elements.dropFirst().reduce($0, combine)] } ?? []
        }
        return result
    }
}

extension ModelStream where Element: Hashable {
    /// How often each element occurs in the window.
    func countsByValue(_ window: Int, _ slide: Int) -> ModelStream<(Element, Int)> {
        var result = ModelStream<(Element, Int)>(slide: slide, end: end, batches: [:])
        for time in times(slide) {
            let elements = within(window, endingAt: time).flatMap { $0 }
            result.batches[time] = Dictionary(grouping: elements) { $0 }
                .map { ($0.key, $0.value.count) }
        }
        return result
    }
}

extension ModelStream {
    /// The values of each key in the window, in the order in which they came; two keys are one if
    /// their bytes are the same.
    func groups<Value>(
        _ window: Int, _ slide: Int
    ) -> ModelStream<(String, [Value])> where Element == (String, Value) {
        var result = ModelStream<(String, [Value])>(slide: slide, end: end, batches: [:])
        for time in times(slide) {
            let elements = within(window, endingAt: time).flatMap { $0 }
            result.batches[time] = Dictionary(grouping: elements) { Array($0.0.utf8) }
                .map { (String(decoding: $0.key, as: UTF8.self), $0.value.map(\.1)) }
        }
        return result
    }

    /// The values of each key in the window, reduced in that order.
    func reduceByKey<Value>(
        _ window: Int, _ slide: Int, _ combine: (Value, Value) -> Value
    ) -> ModelStream where Element == (String, Value) {
        var result = ModelStream(slide: slide, end: end, batches: [:])
        for (time, batch) in groups(window, slide).batches {
            result.batches[time] = batch.map { key, values in
                (key, values.dropFirst().reduce(values[0], combine))
            }
        }
        return result
    }
}

extension ModelStream where Element == (String, Int) {
    /// The sums of the window's values by key, two keys being one if their bytes are the same: the
    /// form without an inverse.
    func sums(_ window: Int, _ slide: Int) -> ModelStream {
        var result = self.window(window, slide)
        result.batches = result.batches.mapValues { elements in
            Dictionary(elements.map { (Array($0.0.utf8), $0.1) }, uniquingKeysWith: +)
                .map { (String(decoding: $0.key, as: UTF8.self), $0.value) }
        }
        return result
    }

    /// The same with an inverse: a key that was in any window stays, unless the filter hides it.
    func inverseSums(
        _ window: Int, _ slide: Int, _ isIncluded: (Int) -> Bool
    ) -> ModelStream {
        var seen: Set<[UInt8]> = []
        var result = sums(window, slide)
        for time in times(slide) {
            let sums = Dictionary(
                uniqueKeysWithValues: result.batches[time, default: []]
                    .map { (Array($0.0.utf8), $0.1) })
            seen.formUnion(sums.keys)
            result.batches[time] = seen.map { key in
                (String(decoding: key, as: UTF8.self), sums[key] ?? 0)
            }.filter { isIncluded($0.1) }
        }
        return result
    }

    /// The stream as the calls of an output operation.
    func calls(batchMillis: Int64, zeroMillis: Int64) -> [CaseBatch] {
        calls(.counted, batchMillis: batchMillis, zeroMillis: zeroMillis)
    }
}

extension ModelStream where Element == Int {
    /// The sum of the window's values, with an inverse: nothing before the first element ever.
    func inverseSum(_ window: Int, _ slide: Int) -> ModelStream {
        var hasBegun = false
        var result = ModelStream(slide: slide, end: end, batches: [:])
        for time in times(slide) {
            let values = within(window, endingAt: time).flatMap { $0 }
            hasBegun = hasBegun || !values.isEmpty
            result.batches[time] = hasBegun ? [values.reduce(0, +)] : []
        }
        return result
    }
}

extension ModelStream where Element: Sendable {
    func calls(_ form: ElementForm<Element>, _ times: CaseTimes) -> [CaseBatch] {
        calls(form, batchMillis: times.batch, zeroMillis: times.zero)
    }

    func calls(
        _ form: ElementForm<Element>, batchMillis: Int64, zeroMillis: Int64
    ) -> [CaseBatch] {
        batches.sorted { $0.key < $1.key }.map { time, elements in
            CaseBatch(
                time: zeroMillis + Int64(time) * batchMillis, elements: elements.map(form.write))
        }
    }
}
